//! Tokens that somebody might try, as tables: each is signed with the good key, unless it is the signature that is tried.

mod tables;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jwt_simple::prelude::{ECDSAP256KeyPairLike, EdDSAKeyPairLike};
use p256::ecdsa::{Signature, signature::Signer as _};

use super::{NOW, SALT, Scene, claims, hs256};
use crate::refusal::Denial;

use tables::{CLAIMS, MALFORMED_HEADERS, SPELLINGS, TIMES, UNKNOWN_KIDS};

const ALGORITHMS: [(&str, &str); 3] = [("HS256", "hs"), ("EdDSA", "ed"), ("ES256", "es")];

#[test]
fn no_header_but_the_one_that_is_written_is_taken() {
    tried("tokens/headers", |scene, alg, kid| {
        for (header, why) in MALFORMED_HEADERS {
            let header = header.replace("ALG", alg).replace("KID", kid);
            refused(scene, &sign(scene, alg, &header, &claims().to_json()), Denial::MalformedToken, why);
        }
        MALFORMED_HEADERS.len()
    });
}

#[test]
fn no_key_is_found_by_what_is_not_its_name() {
    tried("tokens/kids", |scene, alg, kid| {
        let long = "k".repeat(1500);
        for other in UNKNOWN_KIDS.iter().copied().chain([long.as_str()]) {
            let header = header(alg, &other.replace("KID", kid));
            refused(scene, &sign(scene, alg, &header, &claims().to_json()), Denial::UnknownToken, other);
        }
        UNKNOWN_KIDS.len() + 1
    });
}

#[test]
fn no_algorithm_but_the_keys_own_is_taken() {
    tried("tokens/confusion", |scene, alg, kid| {
        let json = claims().to_json();
        let publics =
            [scene.ed_public().to_vec(), scene.es_public().to_vec(), scene.es_public()[1..].to_vec(), SALT.to_vec()];
        let of_others = ALGORITHMS.iter().filter(|(other, _)| *other != alg);
        let mut count = 0;
        for (other, _) in of_others {
            // It names this key and another algorithm, and is signed with the other key as that algorithm has it.
            refused_in_some_way(
                scene,
                &sign(scene, other, &header(other, kid), &json),
                Denial::UnknownToken,
                "another algorithm",
            );
            refused_in_some_way(
                scene,
                &sign(scene, other, &header(alg, kid), &json),
                Denial::UnknownToken,
                "another's signature",
            );
            count += 2;
        }
        for secret in publics.iter().map(Vec::as_slice).chain([b"".as_slice(), b"secret", &[0; 32]]) {
            for said in [alg, "HS256"] {
                let token = hs256(header(said, kid).as_bytes(), json.as_bytes(), secret);
                refused_in_some_way(scene, &token, Denial::UnknownToken, "what everybody knows for a secret");
                count += 1;
            }
        }
        count
    });
}

#[test]
fn no_time_but_a_whole_number_is_taken() {
    tried("tokens/times", |scene, alg, kid| {
        let json = claims().to_json();
        let good = [("iat", NOW), ("nbf", NOW), ("exp", NOW + 7200)];
        for (name, number) in good {
            let good = format!(r#""{name}":{number}"#);
            assert!(json.contains(&good), "{good} in {json}");
            let said = TIMES.iter().map(|time| json.replace(&good, &format!(r#""{name}":{time}"#)));
            let twice = json.replace(&good, &format!(r#"{good},"{name}":{}"#, number + 1));
            let missing = json.replace(&format!("{good},"), "").replace(&format!(",{good}"), "");
            for json in said.chain([twice, missing]) {
                refused(scene, &sign(scene, alg, &header(alg, kid), &json), Denial::MalformedToken, name);
            }
        }
        3 * (TIMES.len() + 2)
    });
}

#[test]
fn no_claims_with_two_readings_are_taken() {
    tried("tokens/claims", |scene, alg, kid| {
        let json = claims().to_json();
        for (from, to, why) in CLAIMS {
            assert!(json.contains(from), "{from} in {json}");
            let changed = json.replacen(from, to, 1);
            refused(scene, &sign(scene, alg, &header(alg, kid), &changed), Denial::MalformedToken, why);
        }
        let nested = sign(scene, alg, &header(alg, kid), &json);
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
            refused(scene, &sign(scene, alg, &header(alg, kid), json), Denial::MalformedToken, "no claims");
        }
        CLAIMS.len() + others.len()
    });
}

#[test]
fn no_other_spelling_of_a_good_token_is_taken() {
    tried("tokens/spellings", |scene, alg, kid| {
        let good = sign(scene, alg, &header(alg, kid), &claims().to_json());
        let parts: Vec<_> = good.split('.').collect();
        for (spelling, denial, why) in SPELLINGS {
            // Letter by letter, because the parts have these letters as well.
            let part =
                |char| ["H", "P", "S"].iter().position(|name| name.starts_with(char)).map(|at| parts[at].to_owned());
            let token: String = spelling.chars().map(|char| part(char).unwrap_or_else(|| char.into())).collect();
            refused_in_some_way(scene, &token, *denial, why);
        }
        SPELLINGS.len()
    });
}

#[test]
fn no_part_of_a_good_signature_is_taken() {
    tried("tokens/signatures", |scene, alg, kid| {
        let good = sign(scene, alg, &header(alg, kid), &claims().to_json());
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
            refused_in_some_way(scene, &token, Denial::UnknownToken, "another signature");
        }
        // The last letter stands for fewer bits than it could hold.
        let (start, last) = good.split_at(good.len() - 1);
        let letters = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
        for letter in letters.filter(|letter| !last.starts_with(*letter)) {
            refused_in_some_way(scene, &format!("{start}{letter}"), Denial::MalformedToken, "bits behind the end");
        }
        others.len() + 63
    });
}

#[test]
fn no_token_is_too_long_to_be_refused() {
    tried("tokens/sizes", |scene, alg, kid| {
        let good = sign(scene, alg, &header(alg, kid), &claims().to_json());
        let megabyte = "A".repeat(1 << 20);
        let tokens = [
            format!("{good}{megabyte}"),
            format!("{megabyte}{good}"),
            good.replacen('.', &format!("{megabyte}."), 1),
            format!("{good}.{megabyte}"),
            ".".repeat(1 << 20),
            megabyte.clone(),
            "\0".repeat(1 << 20),
            sign(scene, alg, &header(alg, &megabyte), &claims().to_json()),
            sign(scene, alg, &header(alg, kid), &format!("{}{}", "[".repeat(1 << 19), "]".repeat(1 << 19))),
            sign(scene, alg, &"[".repeat(1 << 20), "{}"),
        ];
        for token in &tokens {
            refused(scene, token, Denial::MalformedToken, "1 MB");
        }
        tokens.len()
    });
}

/// Tries a table with each algorithm, sees that good tokens are still taken, and reports.
#[expect(clippy::print_stdout, reason = "what was tried belongs into the report")]
fn tried(class: &str, table: impl Fn(&Scene, &str, &str) -> usize) {
    let scene = Scene::new();
    let mut count = 0;
    for (alg, kid) in ALGORITHMS {
        let good = sign(&scene, alg, &header(alg, kid), &claims().to_json());
        scene.takes(&good);
        count += table(&scene, alg, kid);
        scene.takes(&good);
        scene.takes(&sign(&scene, alg, &header(alg, kid), &claims().to_json()));
    }
    println!("hold: {class} {count} refused={count} taken=0");
}

#[track_caller]
fn refused(scene: &Scene, token: &str, denial: Denial, why: &str) {
    let short: String = token.chars().take(300).collect();
    assert_eq!(scene.verify_at(token, NOW).map(|_| ()), Err(denial.into()), "{why}: {short}");
}

/// What is wrong with the form, and what is wrong with the signature, are the same for some algorithms.
#[track_caller]
fn refused_in_some_way(scene: &Scene, token: &str, denial: Denial, why: &str) {
    let told = scene.verify_at(token, NOW).map(|_| ());
    let either = [denial, Denial::MalformedToken, Denial::UnknownToken].map(|denial| Err(denial.into()));
    assert!(either.contains(&told), "{why}: {told:?}: {token}");
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
