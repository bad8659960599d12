//! What the environment says: secrets from a variable or a file, never from a flag that `ps` shows.

use std::fs;

use tollkeeper_contract::{Algorithm, page::NodeTokens};

use crate::{
    api::Tokens,
    domain::{AdminToken, AdminTokens, Badge, Mint, Role, SigningSecret, TokenName, TokenRules},
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
    /// A token is too short, or has characters that a header cannot carry.
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
    /// Two tokens are the same.
    #[error(
        "{0} and {1} are the same, or have a token in common; whoever has the one must not have the other, so give each \
         its own"
    )]
    Same(&'static str, &'static str),
}

/// The variable that holds the secret that tokens are signed with.
pub const SIGNING_SECRET: &str = "TOLLKEEPER_SIGNING_SECRET";

/// The variable that holds tokens of role admin; commands show the first one in it, whatever its role is.
pub const ADMIN_TOKEN: &str = "TOLLKEEPER_ADMIN_TOKEN";

/// The variable that holds tokens of role operator.
pub const OPERATOR_TOKEN: &str = "TOLLKEEPER_OPERATOR_TOKEN";

/// The variable that holds tokens of role viewer.
pub const VIEWER_TOKEN: &str = "TOLLKEEPER_VIEWER_TOKEN";

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

/// Everything secret that the service is given, as it is now: files may be replaced while it runs.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Who may call.
    pub tokens: Tokens,
    /// What tokens of sessions are made with; `None` when there is no signing secret.
    pub mint: Option<Mint>,
}

/// Reads all secrets, looking variables up with `variable`. Where there is a signing secret, node tokens have to be as
/// long as that.
///
/// # Errors
/// When one is missing, weak or unreadable, or two are the same.
pub fn secrets(rules: TokenRules, variable: impl Fn(&str) -> Option<String>) -> Result<Secrets, SettingError> {
    let mut used = Used(Vec::new());
    let mut admin = Vec::new();
    for (role, name) in [(Role::Admin, ADMIN_TOKEN), (Role::Operator, OPERATOR_TOKEN), (Role::Viewer, VIEWER_TOKEN)] {
        if role != Role::Admin && !is_set(name, &variable) {
            continue;
        }
        for (token_name, token) in named_tokens(name, &secret(name, &variable)?)? {
            used.add(name, token.expose())?;
            admin.push((token, Badge { role, name: token_name }));
        }
    }
    let text = secret(NODE_TOKEN, &variable)?;
    for token in text.split_whitespace() {
        used.add(NODE_TOKEN, token)?;
    }
    let node = NodeTokens::parse(&text).ok_or(SettingError::Weak(NODE_TOKEN))?;
    let signs = is_set(SIGNING_SECRET, &variable);
    if signs && text.split_whitespace().any(|token| token.len() < SigningSecret::MIN_LENGTH) {
        return Err(SettingError::WeakNodeToken);
    }
    let signing = signs.then(|| secret(SIGNING_SECRET, &variable)).transpose()?;
    let mint = signing.map(|signing| {
        let secret = SigningSecret::parse(&signing).ok_or(SettingError::WeakSigningSecret)?;
        used.by(signing.trim()).map_or(Ok(()), |name| Err(SettingError::SigningSecretIsToken(name)))?;
        Ok(Mint::new(secret, node.first().clone(), rules))
    });
    Ok(Secrets { tokens: Tokens { admin: AdminTokens::new(admin), node }, mint: mint.transpose()? })
}

/// The token that commands show: the first one of the variable.
///
/// # Errors
/// When it is missing, weak or unreadable.
pub fn admin_token(variable: impl Fn(&str) -> Option<String>) -> Result<AdminToken, SettingError> {
    let tokens = named_tokens(ADMIN_TOKEN, &secret(ADMIN_TOKEN, variable)?)?;
    tokens.into_iter().next().map(|(_, token)| token).ok_or(SettingError::Weak(ADMIN_TOKEN))
}

/// Tokens, parted by white space, each perhaps with its name in front; at least one.
fn named_tokens(setting: &'static str, text: &str) -> Result<Vec<(Option<TokenName>, AdminToken)>, SettingError> {
    let tokens: Option<Vec<_>> = text.split_whitespace().map(AdminToken::parse_named).collect();
    tokens.filter(|tokens| !tokens.is_empty()).ok_or(SettingError::Weak(setting))
}

/// The texts of tokens, each with the variable that holds it: what follows from a text may differ even if it is the same.
struct Used(Vec<(&'static str, String)>);

impl Used {
    fn add(&mut self, name: &'static str, text: &str) -> Result<(), SettingError> {
        if let Some(other) = self.by(text) {
            return Err(SettingError::Same(other, name));
        }
        self.0.push((name, text.to_owned()));
        Ok(())
    }

    fn by(&self, text: &str) -> Option<&'static str> {
        self.0.iter().find(|(_, known)| known == text).map(|(name, _)| *name)
    }
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
        ADMIN_TOKEN, NODE_TOKEN, OPERATOR_TOKEN, Role, SIGNING_SECRET, Secrets, SettingError, TokenRules, VIEWER_TOKEN,
        admin_token, secrets, token_algorithm, token_name, token_seconds,
    };

    fn read_all(pairs: &[(&str, &str)]) -> Result<Secrets, SettingError> {
        let rules = TokenRules { issuer: "i".into(), audience: "a".into(), seconds: 60, algorithm: None };
        secrets(rules, |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn read(pairs: &[(&str, &str)]) -> Result<(), SettingError> {
        read_all(pairs).map(|_| ())
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
        assert_eq!(read(&[ADMIN, (NODE_TOKEN, ADMIN.1)]), Err(SettingError::Same(ADMIN_TOKEN, NODE_TOKEN)));
        // White space around a token does not make it another one.
        assert_eq!(
            read(&[ADMIN, (NODE_TOKEN, " an-admin-token-of-the-greatest-length-xxxxxx\n")]),
            Err(SettingError::Same(ADMIN_TOKEN, NODE_TOKEN))
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
        let pairs: Vec<_> = [ADMIN, NODE].into_iter().chain(text.map(|text| (SIGNING_SECRET, text))).collect();
        read_all(&pairs).map(|secrets| secrets.mint.is_some())
    }

    #[test]
    fn several_tokens_of_each_role_and_of_nodes_hold_at_once() {
        let secrets = read_all(&[
            (ADMIN_TOKEN, "new:the-new-token-of-admins\nold:the-old-token-of-admins\n"),
            (OPERATOR_TOKEN, "the-token-of-operators"),
            (VIEWER_TOKEN, "dashboard:the-token-of-a-dashboard"),
            (NODE_TOKEN, "the-new-token-of-nodes the-old-token-of-nodes"),
        ]);
        let Secrets { tokens, mint } = secrets.unwrap();
        assert!(mint.is_none());
        let badge = |text: &str| tokens.admin.opened_by(text.as_bytes()).map(|badge| (badge.role, badge.to_string()));
        assert_eq!(badge("the-old-token-of-admins"), Some((Role::Admin, "admin/old".into())));
        assert_eq!(badge("the-token-of-operators"), Some((Role::Operator, "operator".into())));
        assert_eq!(badge("the-token-of-a-dashboard"), Some((Role::Viewer, "viewer/dashboard".into())));
        assert_eq!(badge("the-new-token-of-nodes"), None);
        assert_eq!(tokens.node.iter().count(), 2);
    }

    #[test]
    fn no_token_holds_twice_and_commands_show_the_first() {
        let twice = [ADMIN, NODE, (OPERATOR_TOKEN, "again:an-admin-token-of-the-greatest-length-xxxxxx")];
        assert_eq!(read(&twice), Err(SettingError::Same(ADMIN_TOKEN, OPERATOR_TOKEN)));
        assert_eq!(read(&[ADMIN, NODE, (VIEWER_TOKEN, "viewer:short")]), Err(SettingError::Weak(VIEWER_TOKEN)));
        let shown =
            admin_token(|name| (name == ADMIN_TOKEN).then(|| "new:the-new-token-of-admins the-old-one-of-them".into()));
        assert_eq!(shown.unwrap().expose(), "the-new-token-of-admins");
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
