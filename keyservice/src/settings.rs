//! What the environment says: secrets from a variable or a file, never from a flag that `ps` shows.

use std::fs;

use tollkeeper_contract::{
    Algorithm,
    page::{NodeToken, token_text},
};

use crate::{
    api::Tokens,
    domain::{AdminToken, Mint, SigningSecret, TokenRules},
};

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
    /// The signing secret is too short, or has other characters than the visible ones of ASCII.
    #[error(
        "{SIGNING_SECRET}: the secret that signs tokens is at least 43 visible ASCII characters; make one with \
         `openssl rand -hex 32`, the same for all instances"
    )]
    WeakSigningSecret,
    /// The node token is too short for deployments that sign tokens.
    #[error(
        "{NODE_TOKEN}: with a signing secret ({SIGNING_SECRET}) it is at least 43 visible ASCII characters, because the \
         secrets of HS256 tokens are made from both; make one with `openssl rand -hex 32`, and give it to every Envoy"
    )]
    WeakNodeToken,
    /// The signing secret is one of the tokens.
    #[error(
        "{SIGNING_SECRET} and {0} are the same; whoever has the one must not have the other, so make another secret"
    )]
    SigningSecretIsToken(&'static str),
    /// Both tokens are the same.
    #[error("{ADMIN_TOKEN} and {NODE_TOKEN} are the same; nodes must not be able to make keys, so give each its own")]
    Same,
}

/// The variable that holds the secret that tokens are signed with.
pub const SIGNING_SECRET: &str = "TOLLKEEPER_SIGNING_SECRET";

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

/// Reads both tokens, looking variables up with `variable`. Where there is a signing secret too, the node token has to
/// be as long as that.
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
    let is_short = node.trim().len() < SigningSecret::MIN_LENGTH;
    let node = NodeToken::parse(&node).ok_or(SettingError::Weak(NODE_TOKEN))?;
    if is_short && is_set(SIGNING_SECRET, &variable) {
        return Err(SettingError::WeakNodeToken);
    }
    Ok(Tokens { admin, node })
}

/// Reads the admin token, looking variables up with `variable`.
///
/// # Errors
/// When it is missing, weak or unreadable.
pub fn admin_token(variable: impl Fn(&str) -> Option<String>) -> Result<AdminToken, SettingError> {
    AdminToken::parse(&secret(ADMIN_TOKEN, variable)?).ok_or(SettingError::Weak(ADMIN_TOKEN))
}

/// Reads the signing secret, looking variables up with `variable`, and gives what tokens are made with; `None` when there
/// is no secret: then nobody can log in.
///
/// # Errors
/// When it is weak or unreadable, or is one of the tokens.
pub fn mint(
    tokens: &Tokens,
    rules: TokenRules,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Mint>, SettingError> {
    let text = match secret(SIGNING_SECRET, &variable) {
        Err(SettingError::Missing(_)) => return Ok(None),
        text => text?,
    };
    let secret = SigningSecret::parse(&text).ok_or(SettingError::WeakSigningSecret)?;
    if text.trim() == tokens.admin.expose() {
        return Err(SettingError::SigningSecretIsToken(ADMIN_TOKEN));
    }
    // The node token is not kept, but what a node shows follows from it.
    if NodeToken::parse(&text).is_some_and(|token| token.shown() == tokens.node.shown()) {
        return Err(SettingError::SigningSecretIsToken(NODE_TOKEN));
    }
    Ok(Some(Mint::new(secret, tokens.node.clone(), rules)))
}

/// Reads a text that stands in every token, as its `iss` or `aud`: 1 to 256 visible ASCII characters.
///
/// # Errors
/// Says the rule.
pub fn token_name(text: &str) -> Result<String, &'static str> {
    let good = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(text.to_owned()) } else { Err("must be 1 to 256 visible ASCII characters") }
}

/// Reads how long a token lasts, in seconds: 60 to 86400.
///
/// # Errors
/// Says the rule.
pub fn token_seconds(text: &str) -> Result<u64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| TokenRules::SECONDS.contains(seconds));
    seconds.ok_or("must be a number of seconds from 60 to 86400")
}

/// Reads how tokens are signed: `HS256`, `EdDSA` or `ES256`.
///
/// # Errors
/// Says the rule.
pub fn token_algorithm(text: &str) -> Result<Algorithm, &'static str> {
    Algorithm::from_name(text).ok_or("must be HS256, EdDSA or ES256")
}

fn is_set(name: &str, variable: impl Fn(&str) -> Option<String>) -> bool {
    variable(name).is_some() || variable(&format!("{name}_FILE")).is_some()
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
    use super::{
        ADMIN_TOKEN, NODE_TOKEN, SIGNING_SECRET, SettingError, TokenRules, mint, token_algorithm, token_name,
        token_seconds, tokens,
    };

    fn read(pairs: &[(&str, &str)]) -> Result<(), SettingError> {
        let variable =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        tokens(variable).map(|_| ())
    }

    const ADMIN: (&str, &str) = (ADMIN_TOKEN, "an-admin-token-of-the-greatest-length-xxxxxx");
    const NODE: (&str, &str) = (NODE_TOKEN, "a-node-token-of-a-great-enough-length-xxxxxx");

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
        assert_eq!(
            read(&[ADMIN, (NODE_TOKEN, " an-admin-token-of-the-greatest-length-xxxxxx\n")]),
            Err(SettingError::Same)
        );
    }

    #[test]
    fn a_short_node_token_is_refused_where_tokens_are_signed() {
        let node = |length: usize| "x".repeat(length);
        let secret = (SIGNING_SECRET, "a-signing-secret-of-a-great-enough-length-xxx");
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, &node(16))]), Ok(()));
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, &node(43)), secret]), Ok(()));
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, &node(42)), secret]), Err(SettingError::WeakNodeToken));
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, &format!(" {}\n", node(42))), secret]), Err(SettingError::WeakNodeToken));
        let file = ("TOLLKEEPER_SIGNING_SECRET_FILE", "/run/secrets/signing");
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, &node(42)), file]), Err(SettingError::WeakNodeToken));
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

    fn read_secret(text: Option<&str>) -> Result<bool, SettingError> {
        let variable =
            |name: &str| [ADMIN, NODE].iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let tokens = tokens(variable).unwrap();
        let rules = TokenRules { issuer: "i".into(), audience: "a".into(), seconds: 60, algorithm: None };
        mint(&tokens, rules, |name| text.filter(|_| name == SIGNING_SECRET).map(str::to_owned))
            .map(|mint| mint.is_some())
    }

    #[test]
    fn without_a_signing_secret_nobody_logs_in_and_a_weak_one_is_refused() {
        assert_eq!(read_secret(None), Ok(false));
        assert_eq!(read_secret(Some("0123456789abcdef0123456789abcdef0123456789a\n")), Ok(true));
        assert_eq!(
            read_secret(Some("0123456789abcdef0123456789abcdef0123456789")),
            Err(SettingError::WeakSigningSecret)
        );
    }

    #[test]
    fn a_signing_secret_that_is_one_of_the_tokens_is_refused() {
        assert_eq!(read_secret(Some(ADMIN.1)), Err(SettingError::SigningSecretIsToken(ADMIN_TOKEN)));
        assert_eq!(read_secret(Some(NODE.1)), Err(SettingError::SigningSecretIsToken(NODE_TOKEN)));
    }

    #[test]
    fn what_stands_in_tokens_is_checked() {
        assert!(token_name("https://login.acme.example").is_ok());
        assert!(token_name("").is_err() && token_name("a b").is_err() && token_name(&"x".repeat(257)).is_err());
        assert_eq!(token_seconds("7200"), Ok(7200));
        assert!(token_seconds("59").is_err() && token_seconds("86401").is_err() && token_seconds("1h").is_err());
        assert!(token_algorithm("ES256").is_ok() && token_algorithm("none").is_err());
    }
}
