//! By whom, for whom and when.

use tollkeeper_contract::token::Claims;

use super::{HEADER, NOW, Scene, claims};
use crate::refusal::Denial;

#[test]
fn a_token_with_an_unknown_kid_is_unknown() {
    let scene = Scene::new();
    for kid in ["other", "", "HS", "hs ", "../hs", "' or 1=1"] {
        let header = HEADER.replace(r#""kid":"hs""#, &format!(r#""kid":"{kid}""#));
        scene.refuses(&scene.signed(&header, &claims().to_json()), Denial::UnknownToken);
    }
}

#[test]
fn issuer_and_audience_are_compared_byte_for_byte() {
    let scene = Scene::new();
    for other in ["", "Tollkeeper", "tollkeeper ", "tollkeepe", "tollkeeper2", "tollkeeper\0", "https://tollkeeper"] {
        scene.refuses(&scene.token(&Claims { issuer: other.into(), ..claims() }), Denial::UnknownToken);
        scene.refuses(&scene.token(&Claims { audience: other.into(), ..claims() }), Denial::UnknownToken);
    }
}

#[test]
fn a_token_works_from_its_first_second_to_before_its_last() {
    let scene = Scene::new();
    let token = scene.token(&claims());
    let at = |now| scene.verify_at(&token, now).map(|_| ());
    for _ in ["fresh", "from the cache"] {
        assert_eq!(at(NOW - 1), Err(Denial::TokenNotYetValid.into()));
        assert_eq!(at(NOW), Ok(()));
        assert_eq!(at(NOW + 7199), Ok(()));
        assert_eq!(at(NOW + 7200), Err(Denial::TokenExpired.into()));
    }
}

#[test]
fn the_leeway_holds_at_both_ends_and_no_further() {
    let scene = Scene::with_leeway(60);
    let token = scene.token(&claims());
    let at = |now| scene.verify_at(&token, now).map(|_| ());
    assert_eq!(at(NOW - 61), Err(Denial::TokenNotYetValid.into()));
    assert_eq!(at(NOW - 60), Ok(()));
    assert_eq!(at(NOW + 7259), Ok(()));
    assert_eq!(at(NOW + 7260), Err(Denial::TokenExpired.into()));
}

#[test]
fn a_token_that_was_issued_in_the_future_is_not_yet_valid() {
    let scene = Scene::with_leeway(10);
    let issued = |issued| scene.verify_at(&scene.token(&Claims { issued, ..claims() }), NOW).map(|_| ());
    assert_eq!(issued(NOW + 10), Ok(()));
    assert_eq!(issued(NOW + 11), Err(Denial::TokenNotYetValid.into()));
}

#[test]
fn times_at_the_end_of_all_numbers_do_not_overflow() {
    let scene = Scene::with_leeway(60);
    let far = (1 << 53) - 1;
    let token = scene.es256(&Claims { expires: far, ..claims() });
    assert!(scene.verify_at(&token, NOW).is_ok());
    assert_eq!(scene.verify_at(&token, u64::MAX).unwrap_err(), Denial::TokenExpired.into());
    let never = scene.token(&Claims { not_before: far, expires: far, ..claims() });
    scene.refuses(&never, Denial::TokenNotYetValid);
    scene.refuses(&scene.token(&Claims { issued: 0, not_before: 0, expires: 0, ..claims() }), Denial::TokenExpired);
}
