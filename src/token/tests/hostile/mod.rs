//! Tokens that somebody might try, as tables: each is signed with the good key, unless it is the signature that is tried.

mod tables;

use std::{cell::RefCell, panic::Location};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_simple::prelude::{ECDSAP256KeyPairLike, EdDSAKeyPairLike};
use p256::ecdsa::{Signature, signature::Signer as _};

use super::{NOW, SALT, Scene, claims, hs256};
use crate::refusal::Denial;

use tables::{CLAIMS, MALFORMED_HEADERS, SPELLINGS, TIMES, UNKNOWN_KIDS};

const ALGORITHMS: [(&str, &str); 3] = [("HS256", "hs"), ("EdDSA", "ed"), ("ES256", "es")];

#[test]
fn no_header_but_the_one_that_is_written_is_taken() {
    tried("tokens/headers", |trial, alg, kid| {
        for (header, why) in MALFORMED_HEADERS {
            let header = header.replace("ALG", alg).replace("KID", kid);
            trial.is_refused(&sign(&trial.scene, alg, &header, &claims().to_json()), Denial::MalformedToken, why);
        }
    });
}

#[test]
fn no_key_is_found_by_what_is_not_its_name() {
    tried("tokens/kids", |trial, alg, kid| {
        let long = "k".repeat(1500);
        for other in UNKNOWN_KIDS.iter().copied().chain([long.as_str()]) {
            let header = header(alg, &other.replace("KID", kid));
            trial.is_refused(&sign(&trial.scene, alg, &header, &claims().to_json()), Denial::UnknownToken, other);
        }
    });
}

#[test]
fn no_algorithm_but_the_keys_own_is_taken() {
    tried("tokens/confusion", |trial, alg, kid| {
        let json = claims().to_json();
        let publics = [
            trial.scene.ed_public().to_vec(),
            trial.scene.es_public().to_vec(),
            trial.scene.es_public()[1..].to_vec(),
            SALT.to_vec(),
        ];
        let of_others = ALGORITHMS.iter().filter(|(other, _)| *other != alg);
        for (other, _) in of_others {
            // It names this key and another algorithm, and is signed with the other key as that algorithm has it.
            trial.is_refused_in_some_way(
                &sign(&trial.scene, other, &header(other, kid), &json),
                Denial::UnknownToken,
                "another algorithm",
            );
            trial.is_refused_in_some_way(
                &sign(&trial.scene, other, &header(alg, kid), &json),
                Denial::UnknownToken,
                "another's signature",
            );
        }
        for secret in publics.iter().map(Vec::as_slice).chain([b"".as_slice(), b"secret", &[0; 32]]) {
            for said in [alg, "HS256"] {
                let token = hs256(header(said, kid).as_bytes(), json.as_bytes(), secret);
                trial.is_refused_in_some_way(&token, Denial::UnknownToken, "what everybody knows for a secret");
            }
        }
    });
}

#[test]
fn no_time_but_a_whole_number_is_taken() {
    tried("tokens/times", |trial, alg, kid| {
        let json = claims().to_json();
        let good = [("iat", NOW), ("nbf", NOW), ("exp", NOW + 7200)];
        for (name, number) in good {
            let good = format!(r#""{name}":{number}"#);
            assert!(json.contains(&good), "{good} in {json}");
            let said = TIMES.iter().map(|time| json.replace(&good, &format!(r#""{name}":{time}"#)));
            let twice = json.replace(&good, &format!(r#"{good},"{name}":{}"#, number + 1));
            let missing = json.replace(&format!("{good},"), "").replace(&format!(",{good}"), "");
            for json in said.chain([twice, missing]) {
                trial.is_refused(&sign(&trial.scene, alg, &header(alg, kid), &json), Denial::MalformedToken, name);
            }
        }
    });
}

#[test]
fn no_claims_with_two_readings_are_taken() {
    tried("tokens/claims", |trial, alg, kid| {
        let json = claims().to_json();
        for (from, to, why) in CLAIMS {
            assert!(json.contains(from), "{from} in {json}");
            let changed = json.replacen(from, to, 1);
            trial.is_refused(&sign(&trial.scene, alg, &header(alg, kid), &changed), Denial::MalformedToken, why);
        }
        let nested = sign(&trial.scene, alg, &header(alg, kid), &json);
        let deep = |open: &str, close: &str, times| format!("{}{}", open.repeat(times), close.repeat(times));
        let within = |value: &str| json.replacen('{', &format!(r#"{{"x":{value},"#), 1);
        let others = [
            format!("\"{nested}\""),
            nested.clone(),
            deep("[", "]", 1400),
            deep("{\"a\":", "}", 400),
            "[".repeat(2900),
            "{\"iss\":".repeat(400),
            within(&deep("[", "]", 1200)),
            within(&deep("{\"a\":", "}", 350)),
            within(&format!("\"{}\"", "x".repeat(2000))),
            within(&"9".repeat(2000)),
            format!("{json}{json}"),
            "null".to_owned(),
            "\"\"".to_owned(),
            "0".to_owned(),
        ];
        for json in &others {
            trial.is_refused(&sign(&trial.scene, alg, &header(alg, kid), json), Denial::MalformedToken, "no claims");
        }
    });
}

#[test]
fn no_other_spelling_of_a_good_token_is_taken() {
    tried("tokens/spellings", |trial, alg, kid| {
        let good = sign(&trial.scene, alg, &header(alg, kid), &claims().to_json());
        let parts: Vec<_> = good.split('.').collect();
        for (spelling, denial, why) in SPELLINGS {
            // Letter by letter, because the parts have these letters as well.
            let part =
                |char| ["H", "P", "S"].iter().position(|name| name.starts_with(char)).map(|at| parts[at].to_owned());
            let token: String = spelling.chars().map(|char| part(char).unwrap_or_else(|| char.into())).collect();
            trial.is_refused_in_some_way(&token, *denial, why);
        }
    });
}

#[test]
fn no_part_of_a_good_signature_is_taken() {
    tried("tokens/signatures", |trial, alg, kid| {
        let good = sign(&trial.scene, alg, &header(alg, kid), &claims().to_json());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let zeros = vec![0; bytes.len()];
        let mut others: Vec<Vec<u8>> = (0..bytes.len()).map(|length| bytes[..length].to_vec()).collect();
        others.extend((0..bytes.len() * 8).map(|bit| {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            changed
        }));
        others.extend([zeros, vec![0xff; bytes.len()], vec![0; 64], vec![0; 96], vec![0; 2500]]);
        others.extend((1..=8).map(|more| [bytes.as_slice(), &vec![0; more]].concat()));
        others.extend((1..=8).map(|more| [&vec![0; more], bytes.as_slice()].concat()));
        others.extend([bytes.iter().rev().copied().collect(), [bytes.as_slice(), &bytes].concat()]);
        for other in &others {
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other));
            trial.is_refused_in_some_way(&token, Denial::UnknownToken, "another signature");
        }
        // The last letter stands for fewer bits than it could hold.
        let (start, last) = good.split_at(good.len() - 1);
        let letters = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
        for letter in letters.filter(|letter| !last.starts_with(*letter)) {
            trial.is_refused_in_some_way(&format!("{start}{letter}"), Denial::MalformedToken, "bits behind the end");
        }
    });
}

#[test]
fn no_token_is_too_long_to_be_refused() {
    tried("tokens/sizes", |trial, alg, kid| {
        let good = sign(&trial.scene, alg, &header(alg, kid), &claims().to_json());
        let megabyte = "A".repeat(1 << 20);
        let tokens = [
            format!("{good}{megabyte}"),
            format!("{megabyte}{good}"),
            good.replacen('.', &format!("{megabyte}."), 1),
            format!("{good}.{megabyte}"),
            ".".repeat(1 << 20),
            megabyte.clone(),
            "\0".repeat(1 << 20),
            sign(&trial.scene, alg, &header(alg, &megabyte), &claims().to_json()),
            sign(&trial.scene, alg, &header(alg, kid), &format!("{}{}", "[".repeat(1 << 19), "]".repeat(1 << 19))),
            sign(&trial.scene, alg, &"[".repeat(1 << 20), "{}"),
        ];
        for token in &tokens {
            trial.is_refused(token, Denial::MalformedToken, "1 MB");
        }
    });
}

/// What came of tokens that are to be refused.
struct Trial {
    scene: Scene,
    tally: RefCell<Tally>,
}

#[derive(Default)]
struct Tally {
    refused: usize,
    taken: usize,
    /// Taken, or refused for another reason than they should be.
    wrong: Vec<String>,
}

impl Trial {
    #[track_caller]
    fn is_refused(&self, token: &str, denial: Denial, why: &str) {
        self.note(token, &[denial], why);
    }

    /// What is wrong with the form, and what is wrong with the signature, are the same for some algorithms.
    #[track_caller]
    fn is_refused_in_some_way(&self, token: &str, denial: Denial, why: &str) {
        self.note(token, &[denial, Denial::MalformedToken, Denial::UnknownToken], why);
    }

    #[track_caller]
    fn note(&self, token: &str, denials: &[Denial], why: &str) {
        let told = self.scene.verify_at(token, NOW).map(|_| ());
        let mut tally = self.tally.borrow_mut();
        *(if told.is_ok() { &mut tally.taken } else { &mut tally.refused }) += 1;
        if !denials.iter().any(|denial| told == Err((*denial).into())) {
            let (at, short) = (Location::caller(), token.chars().take(300).collect::<String>());
            tally.wrong.push(format!("{at}: {why}: {told:?}: {short}"));
        }
    }
}

/// Tries a table with each algorithm, sees that good tokens are still taken, and reports.
#[expect(clippy::print_stdout, reason = "what was tried belongs into the report")]
fn tried(class: &str, table: impl Fn(&Trial, &str, &str)) {
    let trial = Trial { scene: Scene::new(), tally: RefCell::default() };
    for (alg, kid) in ALGORITHMS {
        let good = || sign(&trial.scene, alg, &header(alg, kid), &claims().to_json());
        let before = good();
        trial.scene.takes(&before);
        table(&trial, alg, kid);
        trial.scene.takes(&before);
        trial.scene.takes(&good());
    }
    let Tally { refused, taken, wrong } = trial.tally.into_inner();
    println!("hold: {class} {} refused={refused} taken={taken}", refused + taken);
    assert!(wrong.is_empty() && taken == 0 && refused > 0, "{}", wrong.join("\n"));
}

fn header(alg: &str, kid: &str) -> String {
    format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#)
}

/// A token that is signed as `alg` has it, whatever it says.
fn sign(scene: &Scene, alg: &str, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = match alg {
        "EdDSA" => scene.ed.key_pair().as_ref().sk.sign(&message, None).to_vec(),
        "ES256" => {
            let signature: Signature = scene.es.key_pair().as_ref().sign(message.as_bytes());
            signature.normalize_s().to_vec()
        }
        _ => return hs256(header.as_bytes(), claims.as_bytes(), &scene.secret.token_secret(&SALT)),
    };
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}
