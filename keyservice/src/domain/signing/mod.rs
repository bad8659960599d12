//! Keys that sign tokens: made from the signing secret whenever they are needed, and kept nowhere.

mod key;
mod published;
mod secret;
#[cfg(test)]
mod tests;

pub use key::{SigningKey, TokenText};
pub use published::PublishedKey;
pub use secret::{Fingerprint, SigningSecret};
