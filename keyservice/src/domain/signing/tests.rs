//! Keys come from the secret alone, sign the same way again, and show nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Verifier as _;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollkeeper_contract::{Algorithm, TokenKeyId, page::NodeToken, token::Parts};

use super::{PublishedKey, SigningKey, SigningSecret};

const CLAIMS: &str = r#"{"sub":"ada"}"#;

fn secret(text: &str) -> SigningSecret {
    SigningSecret::parse(text).unwrap()
}

fn one() -> SigningSecret {
    secret("0123456789abcdef0123456789abcdef0123456789a")
}

fn node() -> NodeToken {
    NodeToken::parse("node-token-of-the-tests").unwrap()
}

fn kid(text: &str) -> TokenKeyId {
    TokenKeyId::parse(text).unwrap()
}

fn key(secret: &SigningSecret, algorithm: Algorithm, name: &str) -> SigningKey {
    secret.key(algorithm, &kid(name), &node()).unwrap()
}

fn parts(token: &str) -> (String, Vec<u8>) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

#[test]
fn the_same_secret_makes_the_same_token_again() {
    for algorithm in Algorithm::ALL {
        let token = key(&one(), algorithm, "k1").sign(CLAIMS);
        assert_eq!(token.expose(), key(&one(), algorithm, "k1").sign(CLAIMS).expose());
        let (message, _) = parts(token.expose());
        let (header, claims) = message.split_once('.').unwrap();
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        assert_eq!(header, format!(r#"{{"alg":"{}","kid":"k1","typ":"JWT"}}"#, algorithm.as_str()));
        assert_eq!(URL_SAFE_NO_PAD.decode(claims).unwrap(), CLAIMS.as_bytes());
    }
}

#[test]
fn another_secret_name_or_algorithm_makes_another_key() {
    let other = secret("0123456789abcdef0123456789abcdef0123456789X");
    for algorithm in Algorithm::ALL {
        assert_eq!(one().fingerprint(algorithm, &node()), one().fingerprint(algorithm, &node()));
        assert_ne!(one().fingerprint(algorithm, &node()), other.fingerprint(algorithm, &node()));
        let material = key(&one(), algorithm, "k1").material();
        assert_ne!(material, key(&one(), algorithm, "k2").material());
        assert_ne!(material, key(&other, algorithm, "k1").material());
        for different in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert_ne!(material, key(&one(), different, "k1").material());
        }
    }
}

#[test]
fn what_nodes_are_told_verifies_the_token() {
    let hs256 = key(&one(), Algorithm::Hs256, "k1");
    let (message, signature) = parts(hs256.sign(CLAIMS).expose());
    let made_by_a_node = node().token_secret(&hs256.material().try_into().unwrap());
    let mac = Hmac::<Sha256>::new_from_slice(&made_by_a_node).unwrap().chain_update(message);
    assert!(mac.verify_slice(&signature).is_ok());

    let eddsa = key(&one(), Algorithm::EdDsa, "k1");
    let (message, signature) = parts(eddsa.sign(CLAIMS).expose());
    let public = ed25519_dalek::VerifyingKey::from_bytes(&eddsa.material().try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    assert!(public.verify(message.as_bytes(), &signature).is_ok());

    let es256 = key(&one(), Algorithm::Es256, "k1");
    let (message, signature) = parts(es256.sign(CLAIMS).expose());
    assert_eq!((es256.material().len(), es256.material()[0]), (65, 4));
    let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(&es256.material()).unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&signature).unwrap();
    assert!(public.verify(message.as_bytes(), &signature).is_ok());
}

#[test]
fn an_hs256_key_takes_both_the_signing_secret_and_the_node_token() {
    let other = NodeToken::parse("another-node-token-of-tests").unwrap();
    for algorithm in Algorithm::ALL {
        let (here, there) = (one().fingerprint(algorithm, &node()), one().fingerprint(algorithm, &other));
        assert_eq!(here != there, algorithm == Algorithm::Hs256, "a key is known again exactly if it is the same");
    }
    let ours = key(&one(), Algorithm::Hs256, "k1");
    let theirs = one().key(Algorithm::Hs256, &kid("k1"), &other).unwrap();
    assert_ne!(ours.sign(CLAIMS).expose(), theirs.sign(CLAIMS).expose());
}

#[test]
fn a_token_is_verified_with_what_nodes_are_told() {
    for algorithm in Algorithm::ALL {
        let published = |name: &str, with: &SigningSecret| {
            let key = key(with, algorithm, name);
            PublishedKey { kid: key.kid().clone(), algorithm, material: key.material() }
        };
        let ours = published("k1", &one());
        let token = key(&one(), algorithm, "k1").sign(CLAIMS);
        let parts = Parts::split(token.expose().as_bytes()).unwrap();
        assert!(ours.signed(&parts, &node()), "{algorithm:?}");
        let other = secret("0123456789abcdef0123456789abcdef0123456789X");
        assert!(!published("k1", &other).signed(&parts, &node()), "{algorithm:?}");
        assert!(!PublishedKey { kid: kid("k2"), ..ours.clone() }.signed(&parts, &node()), "{algorithm:?}");
        for different in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(!PublishedKey { algorithm: different, ..ours.clone() }.signed(&parts, &node()), "{algorithm:?}");
        }
        for place in 0..parts.signature.len() {
            let mut forged = parts.clone();
            forged.signature[place] ^= 1;
            assert!(!ours.signed(&forged, &node()), "{algorithm:?}: {place}");
        }
        let forged = Parts { signed: b"something else", ..parts.clone() };
        assert!(!ours.signed(&forged, &node()), "{algorithm:?}");
    }
}

#[test]
fn every_es256_signature_is_in_the_spelling_that_is_taken() {
    for number in 0..32 {
        let token = key(&one(), Algorithm::Es256, "k1").sign(&number.to_string());
        assert!(Parts::split(token.expose().as_bytes()).is_ok(), "{number}");
    }
}

#[test]
fn a_secret_is_43_visible_characters_or_more() {
    assert!(SigningSecret::parse(" 0123456789abcdef0123456789abcdef0123456789a\n").is_some());
    for bad in [
        "",
        "0123456789abcdef0123456789abcdef0123456789",
        "0123456789abcdef0123456789abcdef 0123456789abcdef0123456789abcdef0123456789",
        &"ü".repeat(43),
    ] {
        assert!(SigningSecret::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn nothing_of_a_key_can_be_printed() {
    let key = key(&one(), Algorithm::Hs256, "k1");
    let shown = format!("{:?} {key:?} {:?}", one(), key.sign(CLAIMS));
    assert_eq!(shown, "SigningSecret(…) SigningKey(k1, …) TokenText(…)");
}

#[test]
fn public_keys_are_told_as_jwk_and_secrets_are_not() {
    let jwk = |algorithm| {
        let key = key(&one(), algorithm, "k1");
        PublishedKey { kid: key.kid().clone(), algorithm, material: key.material() }.jwk()
    };
    assert_eq!(jwk(Algorithm::Hs256), None);
    let eddsa = jwk(Algorithm::EdDsa).unwrap();
    assert_eq!((&eddsa["kty"], &eddsa["crv"], &eddsa["alg"]), (&"OKP".into(), &"Ed25519".into(), &"EdDSA".into()));
    let es256 = jwk(Algorithm::Es256).unwrap();
    assert_eq!((&es256["kty"], &es256["crv"], &es256["alg"]), (&"EC".into(), &"P-256".into(), &"ES256".into()));
    for coordinate in [&eddsa["x"], &es256["x"], &es256["y"]] {
        assert_eq!(URL_SAFE_NO_PAD.decode(coordinate.as_str().unwrap()).unwrap().len(), 32);
    }
    assert_eq!((&es256["kid"], &es256["use"]), (&"k1".into(), &"sig".into()));
}
