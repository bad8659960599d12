//! Bearer tokens: what our verifier takes, the crate `jsonwebtoken` takes too, with the same claims: of each algorithm, and
//! signed by whom they do not name.

use std::{cell::RefCell, rc::Rc, sync::LazyLock};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Alg, DecodingKey, EncodingKey, Validation, crypto};
use num_bigint::BigUint;
use serde_json::Value;
use tollkeeper::{
    config::Config,
    refusal::Refusal,
    token::{Cache, NoSignatures, TokenKeys, Verifier},
};
use tollkeeper_contract::{Digest, TokenKeyRecord, TokenMaterial, page::NodeToken};

const SALT: [u8; 32] = [7; 32];
const NOW: u64 = 1_000_000;
const CLAIMS: &str = r#"{"iss":"https://issuer.example","aud":"api","sub":"s","team":"acme","kind":"application",
    "scope":"read","kid":"key","jti":"session","iat":999990,"nbf":999990,"exp":1000100}"#;

/// The header of a token of each key.
const HEADERS: [&str; 3] = [
    r#"{"alg":"HS256","kid":"hs","typ":"JWT"}"#,
    r#"{"alg":"EdDSA","kid":"ed","typ":"JWT"}"#,
    r#"{"alg":"ES256","kid":"es","typ":"JWT"}"#,
];

/// RFC 8037 appendix A.1: d and x.
const ED: [&str; 2] = ["nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"];

/// RFC 7515 appendix A.3: d, x and y.
const ES: [&str; 3] = [
    "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
];

/// What stands before d in PKCS#8 (RFC 8410 section 7; RFC 5915 section 3 without the public key).
const ED_PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const ES_PKCS8: &[u8] = b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\
    \x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";

/// The order of P-256 (SEC 2 section 2.4.2).
const ES_ORDER: &[u8] = b"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = br#"{"key_service": {"cluster": "keyservice"}, "tokens": {"issuer": "https://issuer.example", "audience": "api",
        "leeway_seconds": 0}}"#;
    Config::parse(text).expect("a configuration")
});
static SECRET: LazyLock<NodeToken> = LazyLock::new(|| NodeToken::parse("a-token-for-nodes").expect("a token"));

/// Who can sign.
static SIGNERS: LazyLock<[(Alg, EncodingKey); 4]> = LazyLock::new(|| {
    let secret = EncodingKey::from_secret(&SECRET.token_secret(&SALT));
    let ed = EncodingKey::from_ed_der(&[ED_PKCS8, &bytes(ED[0])].concat());
    let es = EncodingKey::from_ec_der(&[ES_PKCS8, &bytes(ES[0])].concat());
    // What anybody may know, taken for a secret.
    let known = EncodingKey::from_secret(&bytes(ED[1]));
    [(Alg::HS256, secret), (Alg::EdDSA, ed), (Alg::ES256, es), (Alg::HS256, known)]
});

/// The keys that there are.
struct Keys;

impl TokenKeys for Keys {
    fn find_token_key(&self, kid: &Digest) -> Result<Option<Rc<[u8]>>, Refusal> {
        let ed = bytes(ED[1]).try_into().expect("32 bytes");
        let es = [&[4], &bytes(ES[1])[..], &bytes(ES[2])].concat().try_into().expect("65 bytes");
        let all =
            [("hs", TokenMaterial::Hs256(&SALT)), ("ed", TokenMaterial::EdDsa(&ed)), ("es", TokenMaterial::Es256(&es))];
        let found = all.into_iter().find(|(name, _)| *kid == Digest::of(name.as_bytes()));
        Ok(found.map(|(kid, material)| {
            let mut record = Vec::new();
            TokenKeyRecord { kid, material }.encode(&mut record);
            record.into()
        }))
    }
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// The first byte says who signs, and what a token says of that; the rest is a token, and the claims of a genuine one, or
/// header, line break and claims of one.
pub fn look(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let signer = usize::from(choice % 4);
    agrees(data);
    if let Some(at) = data.iter().position(|byte| *byte == b'\n') {
        agrees(signed(signer, &data[..at], &data[at + 1..]).as_bytes());
        return;
    }
    // With the fourth, it is the one of who signs.
    let named = HEADERS.get(usize::from(choice / 4 % 4)).copied();
    let header = named.map_or_else(|| own_header(signer), str::to_owned);
    agrees(signed(signer, header.as_bytes(), data).as_bytes());
}

/// What who signs would write; the fourth names the key that it took for a secret.
fn own_header(signer: usize) -> String {
    HEADERS.get(signer).map_or_else(|| HEADERS[0].replace("hs", "ed"), |own| (*own).to_owned())
}

fn agrees(token: &[u8]) {
    let cache = RefCell::new(Cache::default());
    let verifier = Verifier { settings: &CONFIG.tokens, secret: &SECRET, host: &NoSignatures, cache: &cache };
    let Ok(verified) = verifier.verify(token.into(), &Keys, NOW) else { return };
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
    assert_eq!(verifier.verify(token.into(), &Keys, NOW).ok().map(|again| again.claims.clone()), Some(ours.clone()));
    assert!(verifier.verify(token.into(), &Keys, ours.expires).is_err());
}

fn second_opinion(token: &[u8]) -> Option<Value> {
    let (algorithm, key) = match jsonwebtoken::decode_header(token).ok()?.kid?.as_str() {
        "hs" => (Alg::HS256, DecodingKey::from_secret(&SECRET.token_secret(&SALT))),
        "ed" => (Alg::EdDSA, DecodingKey::from_ed_components(ED[1]).expect("a key")),
        "es" => (Alg::ES256, DecodingKey::from_ec_components(ES[1], ES[2]).expect("a key")),
        _ => return None,
    };
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&["api"]);
    rules.set_issuer(&["https://issuer.example"]);
    // It asks the machine's clock; the times are compared above.
    (rules.validate_exp, rules.validate_nbf) = (false, false);
    jsonwebtoken::decode(token, &key, &rules).ok().map(|decoded| decoded.claims)
}

fn signed(signer: usize, header: &[u8], claims: &[u8]) -> String {
    let input = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let (algorithm, key) = &SIGNERS[signer];
    let signature = crypto::sign(input.as_bytes(), key, *algorithm).expect("it can sign");
    let signature = if *algorithm == Alg::ES256 { with_smaller_s(&signature) } else { signature };
    format!("{input}.{signature}")
}

/// Of the two spellings of an ECDSA signature, the one that is taken.
fn with_smaller_s(signature: &str) -> String {
    let mut signature = bytes(signature);
    let order = BigUint::parse_bytes(ES_ORDER, 16).expect("a number");
    let s = BigUint::from_bytes_be(&signature[32..]);
    let s = s.clone().min(order - s).to_bytes_be();
    signature[32..].fill(0);
    let begin = signature.len() - s.len();
    signature[begin..].copy_from_slice(&s);
    BASE64_URL_SAFE_NO_PAD.encode(signature)
}

/// For each who signs: the claims of a genuine token, those of an enterprise's, both parts, other algorithms, and a token.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let enterprise = CLAIMS.replace(r#""team":"acme""#, r#""enterprise":"e","origin":"a.example","sid":"x""#);
    let of = |signer: usize| {
        let header = own_header(signer);
        let none = header.replace(r#""alg":""#, r#""alg":"none","x":""#);
        let texts = [
            CLAIMS.to_owned(),
            enterprise.clone(),
            format!("{header}\n{CLAIMS}"),
            format!("{none}\n{CLAIMS}"),
            signed(signer, header.as_bytes(), CLAIMS.as_bytes()),
        ];
        texts.map(|text| [&[12 + signer as u8], text.as_bytes()].concat())
    };
    // The others take a hundred times as long to sign.
    [0, 0, 0, 1, 2, 3, 3].into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::{CLAIMS, CONFIG, HEADERS, Keys, NOW, SECRET, SIGNERS, own_header, second_opinion, signed};
    use std::cell::RefCell;
    use tollkeeper::token::{Cache, NoSignatures, Verifier};

    fn is_taken(token: &str) -> bool {
        let cache = RefCell::new(Cache::default());
        let verifier = Verifier { settings: &CONFIG.tokens, secret: &SECRET, host: &NoSignatures, cache: &cache };
        verifier.verify(token.as_bytes().into(), &Keys, NOW).is_ok()
    }

    #[test]
    fn a_genuine_token_of_each_algorithm_is_taken_by_both_and_no_other() {
        for signer in 0..SIGNERS.len() {
            for header in HEADERS.map(str::to_owned).into_iter().chain([own_header(signer)]) {
                let token = signed(signer, header.as_bytes(), CLAIMS.as_bytes());
                let is_genuine = HEADERS.get(signer).is_some_and(|own| *own == header);
                assert_eq!(is_taken(&token), is_genuine, "{signer} {header}");
                assert_eq!(second_opinion(token.as_bytes()).is_some(), is_genuine, "{signer} {header}");
            }
        }
    }
}
