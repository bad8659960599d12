//! The words for states, the same in the database, in JSON and on the command line.

use tollkeeper_contract::{KeyState, TenantState};

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

/// The word for the state of an enterprise, a team or a user.
#[must_use]
pub fn of_tenant_state(state: TenantState) -> &'static str {
    match state {
        TenantState::Active => "active",
        TenantState::Disabled => "disabled",
    }
}

/// The state of an enterprise, a team or a user of that word.
#[must_use]
pub fn tenant_state(word: &str) -> Option<TenantState> {
    [TenantState::Active, TenantState::Disabled].into_iter().find(|state| of_tenant_state(*state) == word)
}
