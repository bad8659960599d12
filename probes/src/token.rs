//! Bearer tokens: what our verifier takes, the crate `jsonwebtoken` takes too, with the same claims.

use std::{cell::RefCell, rc::Rc, sync::LazyLock};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm as Alg, DecodingKey, Validation};
use serde_json::Value;
use sha2::Sha256;
use tollkeeper::{
    config::Config,
    refusal::Refusal,
    token::{Cache, NoSignatures, TokenKeys, Verifier},
};
use tollkeeper_contract::{Digest, TokenKeyRecord, TokenMaterial, page::NodeToken};

const KID: &str = "k1";
const SALT: [u8; 32] = [7; 32];
const NOW: u64 = 1_000_000;
const HEADER: &str = r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#;
const CLAIMS: &str = r#"{"iss":"https://issuer.example","aud":"api","sub":"s","team":"acme","kind":"application",
    "scope":"read","kid":"key","jti":"session","iat":999990,"nbf":999990,"exp":1000100}"#;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = br#"{"key_service": {"cluster": "keyservice"}, "tokens": {"issuer": "https://issuer.example", "audience": "api",
        "leeway_seconds": 0}}"#;
    Config::parse(text).expect("a configuration")
});
static SECRET: LazyLock<NodeToken> = LazyLock::new(|| NodeToken::parse("a-token-for-nodes").expect("a token"));

/// The one key that there is.
struct OneKey;

impl TokenKeys for OneKey {
    fn find_token_key(&self, kid: &Digest) -> Result<Option<Rc<[u8]>>, Refusal> {
        let mut record = Vec::new();
        TokenKeyRecord { kid: KID, material: TokenMaterial::Hs256(&SALT) }.encode(&mut record);
        Ok((*kid == Digest::of(KID.as_bytes())).then(|| record.into()))
    }
}

/// The input as a token, as the claims of a genuine one, and as header, line break and claims of one.
pub fn look(data: &[u8]) {
    agrees(data);
    agrees(signed(HEADER.as_bytes(), data).as_bytes());
    if let Some(at) = data.iter().position(|byte| *byte == b'\n') {
        agrees(signed(&data[..at], &data[at + 1..]).as_bytes());
    }
}

fn agrees(token: &[u8]) {
    let cache = RefCell::new(Cache::default());
    let verifier = Verifier { settings: &CONFIG.tokens, secret: &SECRET, host: &NoSignatures, cache: &cache };
    let Ok(verified) = verifier.verify(token.into(), &OneKey, NOW) else { return };
    let claims = second_opinion(token).expect("jsonwebtoken takes it too");
    let text = |name: &str| claims[name].as_str().map(str::to_owned);
    let ours = &verified.claims;
    assert_eq!((Some(&ours.subject), &ours.team), (text("sub").as_ref(), &text("team")));
    assert_eq!((Some(&ours.scope), Some(&ours.session)), (text("scope").as_ref(), text("jti").as_ref()));
    let times = [claims["nbf"].as_u64(), claims["exp"].as_u64()];
    assert_eq!([Some(ours.not_before), Some(ours.expires)], times);
    assert!((ours.not_before..ours.expires).contains(&NOW));
    assert_eq!((text("iss").as_deref(), text("aud").as_deref()), (Some("https://issuer.example"), Some("api")));
    // It is remembered, and judged alike.
    assert_eq!(verifier.verify(token.into(), &OneKey, NOW).ok().map(|again| again.claims.clone()), Some(ours.clone()));
    assert!(verifier.verify(token.into(), &OneKey, ours.expires).is_err());
}

fn second_opinion(token: &[u8]) -> Option<Value> {
    let mut rules = Validation::new(Alg::HS256);
    rules.set_audience(&["api"]);
    rules.set_issuer(&["https://issuer.example"]);
    // It asks the machine's clock; the times are compared above.
    (rules.validate_exp, rules.validate_nbf) = (false, false);
    let key = DecodingKey::from_secret(&SECRET.token_secret(&SALT));
    jsonwebtoken::decode(std::str::from_utf8(token).ok()?, &key, &rules).ok().map(|decoded| decoded.claims)
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let input = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET.token_secret(&SALT)).expect("any length is a key");
    mac.update(input.as_bytes());
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A genuine token, its claims, and both parts.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let enterprise = CLAIMS.replace(r#""team":"acme""#, r#""enterprise":"e","origin":"a.example","sid":"x""#);
    let none = format!("{}\n{CLAIMS}", HEADER.replace("HS256", "none"));
    let mut seeds = crate::texts(&[CLAIMS, &enterprise, &format!("{HEADER}\n{CLAIMS}"), &none]);
    seeds.push(signed(HEADER.as_bytes(), CLAIMS.as_bytes()).into_bytes());
    seeds
}

#[cfg(test)]
mod tests {
    use super::{CLAIMS, CONFIG, HEADER, NOW, OneKey, SECRET, second_opinion, signed};
    use std::cell::RefCell;
    use tollkeeper::token::{Cache, NoSignatures, Verifier};

    #[test]
    fn the_seeds_genuine_token_is_taken_by_both() {
        let token = signed(HEADER.as_bytes(), CLAIMS.as_bytes());
        let cache = RefCell::new(Cache::default());
        let verifier = Verifier { settings: &CONFIG.tokens, secret: &SECRET, host: &NoSignatures, cache: &cache };
        assert!(verifier.verify(token.as_bytes().into(), &OneKey, NOW).is_ok());
        assert!(second_opinion(token.as_bytes()).is_some());
    }
}
