//! What fuzzing asks of bodies: each is read as every request would read it, as far as that goes without a database.

use serde::de::DeserializeOwned;

use super::{body::parse, keys, login, pairs, problem::Problem, tenants::Served, wire};
use crate::domain::{Enterprise, ServiceAccount, Team, User};

/// Reads `bytes` as the body of each request that has one, and gives how many would take it.
///
/// # Panics
/// When a body is taken that is no JSON object, or a refusal is not the client's doing, or says too much.
#[doc(hidden)]
#[must_use]
pub fn read_each_body(bytes: &[u8]) -> usize {
    let taken = [
        thing::<Team>(bytes),
        thing::<Enterprise>(bytes),
        thing::<User>(bytes),
        thing::<ServiceAccount>(bytes),
        body(bytes, login::shown),
        body(bytes, keys::new_key),
        body(bytes, keys::key_change),
        body(bytes, keys::import_key),
        body::<wire::ImportBody, _>(bytes, Ok),
        body::<wire::LimitsBody, _>(bytes, Ok),
        body::<wire::RevokeBody, _>(bytes, Ok),
        body::<wire::RotateBody, _>(bytes, Ok),
        body::<wire::PasswordBody, _>(bytes, Ok),
        body::<tollkeeper_contract::lease::Question, _>(bytes, Ok),
    ];
    let _ = pairs::read(bytes);
    let taken = taken.into_iter().filter(|taken| *taken).count();
    let is_object = serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|value| value.is_object());
    assert!(taken == 0 || is_object, "what is taken is a JSON object");
    taken
}

fn thing<T: Served>(bytes: &[u8]) -> bool {
    let made = body(bytes, T::read_new);
    body(bytes, T::read_change) || made
}

fn body<T: DeserializeOwned, U>(bytes: &[u8], read: impl FnOnce(T) -> Result<U, Problem>) -> bool {
    match parse(bytes).and_then(read) {
        Ok(_) => true,
        Err(problem) => {
            problem.assert_is_told_to_a_client();
            false
        }
    }
}
