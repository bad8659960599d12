//! The words for states, the same in the database, in JSON and on the command line.

use tollkeeper_contract::{KeyState, TeamState};

/// The word for a key's state.
#[must_use]
pub fn of_key_state(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Disabled => "disabled",
        KeyState::Revoked => "revoked",
    }
}

/// The key state of that word.
#[must_use]
pub fn key_state(word: &str) -> Option<KeyState> {
    [KeyState::Active, KeyState::Disabled, KeyState::Revoked].into_iter().find(|state| of_key_state(*state) == word)
}

/// The word for a team's state.
#[must_use]
pub fn of_team_state(state: TeamState) -> &'static str {
    match state {
        TeamState::Active => "active",
        TeamState::Disabled => "disabled",
    }
}

/// The team state of that word.
#[must_use]
pub fn team_state(word: &str) -> Option<TeamState> {
    [TeamState::Active, TeamState::Disabled].into_iter().find(|state| of_team_state(*state) == word)
}
