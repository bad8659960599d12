//! The second time that a token comes.

use std::cell::Cell;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tollkeeper_contract::{TokenMaterial, token::Claims};

use super::{Counting, HEADER, NOW, SALT, Scene, claims};
use crate::{refusal::Denial, token::NoSignatures};

#[test]
fn a_signature_is_verified_once() {
    let (scene, host) = (Scene::new(), Counting { asked: Cell::new(0), says: true });
    let token = scene.es256(&claims());
    for _ in 0..5 {
        assert!(scene.verify_with(&token, NOW, &host).is_ok());
    }
    assert_eq!((host.asked.get(), scene.cache.borrow().len()), (1, 1));
}

#[test]
fn nothing_but_a_good_token_enters_the_cache() {
    let scene = Scene::new();
    let expired = scene.token(&Claims { expires: NOW, ..claims() });
    let early = scene.token(&Claims { not_before: NOW + 1, ..claims() });
    let foreign = scene.token(&Claims { issuer: "other".into(), ..claims() });
    for token in [expired, early, foreign, "x".to_owned()] {
        assert!(scene.verify_at(&token, NOW).is_err());
    }
    assert_eq!(scene.cache.borrow().len(), 0);
}

#[test]
fn a_token_ends_with_its_key_although_it_is_in_the_cache() {
    let scene = Scene::new();
    let token = scene.token(&claims());
    scene.takes(&token);
    scene.publish("hs", None);
    assert_eq!(scene.verify_at(&token, NOW), Err(Denial::UnknownToken.into()));
    scene.publish("hs", Some(TokenMaterial::Hs256(&[8; 32])));
    assert_eq!(scene.verify_at(&token, NOW), Err(Denial::UnknownToken.into()));
    scene.publish("hs", Some(TokenMaterial::Hs256(&SALT)));
    scene.takes(&token);
}

#[test]
fn tokens_of_many_keys_in_turn_are_told_apart() {
    let scene = Scene::new();
    let kid = |number: u8| format!("hs{number}");
    for number in 0..9 {
        scene.publish(&kid(number), Some(TokenMaterial::Hs256(&[number; 32])));
    }
    for round in 0..3 {
        for number in 0..9 {
            // Each is another token, with a header that was seen before.
            let claims = Claims { session: format!("s{round}"), ..claims() }.to_json();
            let header = HEADER.replace(r#""hs""#, &format!("{:?}", kid(number)));
            let signed =
                |salt: u8| super::hs256(header.as_bytes(), claims.as_bytes(), &scene.secret.token_secret(&[salt; 32]));
            assert!(scene.verify_at(&signed(number), NOW).is_ok(), "{number}");
            scene.refuses(&signed((number + 1) % 9), Denial::UnknownToken);
        }
    }
}

#[test]
fn the_header_of_a_token_is_known_once_one_was_good_and_no_other_is() {
    let scene = Scene::new();
    let knows = |header: &str| scene.verifier(&NoSignatures).knows_header(URL_SAFE_NO_PAD.encode(header).as_bytes());
    assert!(!knows(HEADER), "nothing was seen yet");
    let foreign = scene.token(&Claims { issuer: "other".into(), ..claims() });
    scene.refuses(&foreign, Denial::UnknownToken);
    assert!(!knows(HEADER), "what was refused");
    scene.takes(&scene.token(&claims()));
    assert!(knows(HEADER));
    assert!(!knows(&HEADER.replace("hs", "ed")), "another key's");
}

#[test]
fn two_tokens_that_differ_in_their_signature_only_are_two() {
    let scene = Scene::new();
    let token = scene.token(&claims());
    scene.takes(&token);
    let (message, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 32]));
    assert_eq!(scene.verify_at(&forged, NOW), Err(Denial::UnknownToken.into()));
}
