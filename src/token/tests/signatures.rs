//! Who signed a token.

use std::cell::Cell;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tollkeeper_contract::{TokenMaterial, page::NodeToken, token::Claims};

use super::{Counting, HEADER, NOW, SALT, Scene, claims, hs256, twin};
use crate::refusal::{Denial, Fault};

#[test]
fn a_token_of_each_algorithm_is_taken() {
    let scene = Scene::new();
    scene.takes(&scene.token(&claims()));
    scene.takes(&scene.eddsa(&claims()));
    scene.takes(&scene.es256(&claims()));
}

#[test]
fn a_token_of_another_key_is_unknown() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.refuses(&other.eddsa(&claims()), Denial::UnknownToken);
    scene.refuses(&other.es256(&claims()), Denial::UnknownToken);
    let elsewhere = NodeToken::parse("fedcba9876543210").unwrap().token_secret(&SALT);
    for secret in [SALT.as_slice(), &elsewhere, &[0; 32], b"0123456789abcdef", b""] {
        scene.refuses(&hs256(HEADER.as_bytes(), claims().to_json().as_bytes(), secret), Denial::UnknownToken);
    }
}

#[test]
fn the_algorithm_is_the_keys_whatever_the_token_says() {
    let scene = Scene::new();
    let json = claims().to_json();
    // Signed with what everybody knows of an asymmetric key, as if it were a secret.
    for (kid, public) in [("ed", scene.ed_public().to_vec()), ("es", scene.es_public().to_vec())] {
        for alg in ["HS256", "EdDSA", "ES256"] {
            let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#);
            scene.refuses(&hs256(header.as_bytes(), json.as_bytes(), &public), Denial::UnknownToken);
        }
    }
    for alg in ["EdDSA", "ES256"] {
        scene.refuses(&scene.signed(&HEADER.replace("HS256", alg), &json), Denial::UnknownToken);
    }
    for alg in ["none", "None", "NONE", "", "hs256", "HS512", "RS256", "PS256", "ES256K", "Ed25519", "dir"] {
        scene.refuses(&scene.signed(&HEADER.replace("HS256", alg), &json), Denial::MalformedToken);
    }
}

#[test]
fn the_time_is_what_the_filter_says_whatever_the_clock_of_the_machine_says() {
    let scene = Scene::new();
    // In 2001 and in 2096: on any machine that runs this, the one is over and the other has not begun.
    for issued in [1_000_000_000, 4_000_000_000] {
        let claims = Claims { issued, not_before: issued, expires: issued + 7200, ..claims() };
        for token in [scene.token(&claims), scene.eddsa(&claims), scene.es256(&claims)] {
            let seen = scene.verify_at(&token, issued).map(|verified| verified.claims.clone());
            assert_eq!(seen, Ok(claims.clone()), "{token}");
            scene.cache.take();
            assert_eq!(scene.verify_at(&token, issued - 1), Err(Denial::TokenNotYetValid.into()));
            assert_eq!(scene.verify_at(&token, issued + 7200), Err(Denial::TokenExpired.into()));
        }
    }
}

#[test]
fn a_token_without_a_signature_is_unknown() {
    let scene = Scene::new();
    for token in [scene.token(&claims()), scene.eddsa(&claims()), scene.es256(&claims())] {
        let (message, signature) = token.rsplit_once('.').unwrap();
        scene.refuses(&format!("{message}."), Denial::UnknownToken);
        let half = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for bytes in [&half[..half.len() / 2], &[half.as_slice(), &[0]].concat(), &[0; 64], &[0x7f; 64]] {
            scene.refuses(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes)), Denial::UnknownToken);
        }
    }
}

#[test]
fn a_token_with_any_bit_changed_is_refused() {
    let scene = Scene::new();
    for (token, step) in [(scene.token(&claims()), 1), (scene.eddsa(&claims()), 9), (scene.es256(&claims()), 9)] {
        for at in (0..token.len()).step_by(step) {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(scene.verify_at(&changed, NOW).is_err(), "{changed}");
        }
    }
}

#[test]
fn the_other_spelling_of_an_es256_signature_is_refused() {
    let scene = Scene::new();
    let token = scene.es256(&claims());
    scene.takes(&token);
    let other = twin(&token);
    assert_ne!(other, token);
    assert_eq!(twin(&other), token);
    // Before the host is asked, to whom it is as good.
    let host = Counting { asked: Cell::new(0), says: true };
    assert_eq!(scene.verify_with(&other, NOW, &host), Err(Denial::MalformedToken.into()));
    assert_eq!(host.asked.get(), 0);
}

#[test]
fn what_the_host_says_of_an_es256_signature_holds() {
    for says in [true, false] {
        let (scene, host) = (Scene::new(), Counting { asked: Cell::new(0), says });
        let taken = scene.verify_with(&scene.es256(&claims()), NOW, &host);
        assert_eq!((taken.is_ok(), host.asked.get()), (says, 1));
    }
}

#[test]
fn a_token_key_that_is_none_is_our_fault() {
    let scene = Scene::new();
    scene.publish("ed", Some(TokenMaterial::EdDsa(&[0; 32])));
    scene.publish("es", Some(TokenMaterial::Es256(&[4; 65])));
    for token in [scene.eddsa(&claims()), scene.es256(&claims())] {
        assert_eq!(scene.verify_at(&token, NOW), Err(Fault::TableUnreadable.into()));
    }
}
