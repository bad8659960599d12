//! What the environment says: secrets from a variable or a file, never from a flag that `ps` shows.

use std::fs;

use tollkeeper_contract::page::{NodeToken, token_text};

use crate::{api::Tokens, domain::AdminToken};

/// Why a setting is refused: names the variable and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Neither the variable nor its file variant is set.
    #[error("{0} is not set; set it, or {0}_FILE to the path of a file that holds it")]
    Missing(&'static str),
    /// Both the variable and its file variant are set.
    #[error("{0} and {0}_FILE are both set; keep one of them")]
    Twice(&'static str),
    /// The file cannot be read.
    #[error("{name}_FILE: cannot read {path}: {cause}")]
    Unreadable {
        /// The variable.
        name: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// The token is too short, or has characters that a header cannot carry.
    #[error("{0}: a token is at least 16 visible ASCII characters; make one with `openssl rand -hex 32`")]
    Weak(&'static str),
    /// Both tokens are the same.
    #[error("{ADMIN_TOKEN} and {NODE_TOKEN} are the same; nodes must not be able to make keys, so give each its own")]
    Same,
}

/// The variable that holds the admin token.
pub const ADMIN_TOKEN: &str = "TOLLKEEPER_ADMIN_TOKEN";

/// The variable that holds the node token.
pub const NODE_TOKEN: &str = "TOLLKEEPER_NODE_TOKEN";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Reads both tokens, looking variables up with `variable`.
///
/// # Errors
/// When one is missing, weak or unreadable, or both are the same.
pub fn tokens(variable: impl Fn(&str) -> Option<String>) -> Result<Tokens, SettingError> {
    let admin = admin_token(&variable)?;
    let node = secret(NODE_TOKEN, &variable)?;
    // The texts are compared: what follows from them differs even if they are the same.
    if token_text(&node) == Some(admin.expose()) {
        return Err(SettingError::Same);
    }
    let node = NodeToken::parse(&node).ok_or(SettingError::Weak(NODE_TOKEN))?;
    Ok(Tokens { admin, node })
}

/// Reads the admin token, looking variables up with `variable`.
///
/// # Errors
/// When it is missing, weak or unreadable.
pub fn admin_token(variable: impl Fn(&str) -> Option<String>) -> Result<AdminToken, SettingError> {
    AdminToken::parse(&secret(ADMIN_TOKEN, variable)?).ok_or(SettingError::Weak(ADMIN_TOKEN))
}

fn secret(name: &'static str, variable: impl Fn(&str) -> Option<String>) -> Result<String, SettingError> {
    match (variable(name), variable(&format!("{name}_FILE"))) {
        (Some(_), Some(_)) => Err(SettingError::Twice(name)),
        (Some(secret), None) => Ok(secret),
        (None, Some(path)) => {
            let unreadable =
                |cause: std::io::Error| SettingError::Unreadable { name, path: path.clone(), cause: cause.to_string() };
            fs::read_to_string(&path).map_err(unreadable)
        }
        (None, None) => Err(SettingError::Missing(name)),
    }
}

/// A variable of the environment; one that is empty counts as not set.
#[must_use]
pub fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{ADMIN_TOKEN, NODE_TOKEN, SettingError, tokens};

    fn read(pairs: &[(&str, &str)]) -> Result<(), SettingError> {
        let variable =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        tokens(variable).map(|_| ())
    }

    const ADMIN: (&str, &str) = (ADMIN_TOKEN, "an-admin-token-of-length");
    const NODE: (&str, &str) = (NODE_TOKEN, "a-node-token-of-length");

    #[test]
    fn two_tokens_that_differ_are_taken() {
        assert_eq!(read(&[ADMIN, NODE]), Ok(()));
    }

    #[test]
    fn missing_weak_and_equal_tokens_are_refused() {
        assert_eq!(read(&[NODE]), Err(SettingError::Missing(ADMIN_TOKEN)));
        assert_eq!(read(&[ADMIN]), Err(SettingError::Missing(NODE_TOKEN)));
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, "short")]), Err(SettingError::Weak(NODE_TOKEN)));
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, ADMIN.1)]), Err(SettingError::Same));
        // White space around a token does not make it another one.
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, " an-admin-token-of-length\n")]), Err(SettingError::Same));
    }

    #[test]
    fn a_token_from_two_places_is_refused() {
        let twice = [ADMIN, NODE, ("TOLLKEEPER_NODE_TOKEN_FILE", "/nowhere")];
        assert_eq!(read(&twice), Err(SettingError::Twice(NODE_TOKEN)));
    }

    #[test]
    fn a_token_file_that_cannot_be_read_is_named() {
        let error = read(&[ADMIN, ("TOLLKEEPER_NODE_TOKEN_FILE", "/nowhere/token")]).unwrap_err();
        assert!(error.to_string().starts_with("TOLLKEEPER_NODE_TOKEN_FILE: cannot read /nowhere/token: "), "{error}");
    }
}
