//! How a token is written, also where its signature is good.

use proptest::prelude::*;
use tollkeeper_contract::token::Claims;

use super::{HEADER, NOW, SALT, Scene, claims, hs256};
use crate::{
    refusal::Denial,
    token::{NoSignatures, Verifier},
};

#[test]
fn a_signed_token_with_a_second_reading_is_malformed() {
    let scene = Scene::new();
    let good = claims().to_json();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let exp = format!(r#""exp":{}"#, NOW + 7200);
    let iat = format!(r#""iat":{NOW}"#);
    for bad in [
        with(&exp, &format!(r#"{exp},{exp}"#)),
        with(&exp, &format!(r#"{exp},"\u0065xp":9999999999"#)),
        with(&exp, &format!("{exp}.0")),
        with(&exp, &format!("{exp}e0")),
        with(&exp, r#""exp":1.8e10"#),
        with(&exp, r#""exp":-1"#),
        with(&exp, r#""exp":-0"#),
        with(&exp, r#""exp":"1800007200""#),
        with(&exp, r#""exp":9007199254740993"#),
        with(&exp, r#""exp":99999999999999999999"#),
        with(&exp, r#""exp":01800007200"#),
        with(&exp, r#""exp":null"#),
        with(&exp, r#""exp":true"#),
        with(&exp, r#""exp":[1800007200]"#),
        with(&format!(",{exp}"), ""),
        with(&iat, r#""iat":1.5"#),
        with(&format!("{iat},"), ""),
        with(r#""iss":"tollkeeper""#, r#""iss":"evil","iss":"tollkeeper""#),
        with(r#""aud":"tollkeeper""#, r#""aud":["tollkeeper"]"#),
        with(r#""aud":"tollkeeper""#, r#""aud":"tollkeeper","act":{"sub":"a","sub":"b"}"#),
        with(r#""team":"acme""#, r#""team":"acme","team":"globex""#),
        with(r#""scope":"read write""#, r#""scope":["read","write"]"#),
        with(r#""kind":"application""#, r#""kind":"superuser""#),
        with(r#""team":"acme""#, r#""team":"../globex""#),
        with(r#""sub":"ci""#, r#""sub":"ci\r\nx-admin: yes""#),
        with("{", "{{"),
        format!("{good}{good}"),
        format!("[{good}]"),
        format!(r#""{}""#, scene.token(&claims())),
        "{}".to_owned(),
        "null".to_owned(),
        String::new(),
    ] {
        scene.refuses(&scene.signed(HEADER, &bad), Denial::MalformedToken);
    }
    let not_utf8 = [b"{\"iss\":\"\xff".as_slice(), &good.as_bytes()[8..]].concat();
    let token = hs256(HEADER.as_bytes(), &not_utf8, &scene.secret.token_secret(&SALT));
    scene.refuses(&token, Denial::MalformedToken);
}

#[test]
fn a_signed_token_with_more_in_its_header_is_malformed() {
    let scene = Scene::new();
    for more in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""jku":"https://evil.example/keys""#,
        r#""jwk":{"kty":"oct","k":"AA"}"#,
        r#""x5c":[]"#,
        r#""b64":true"#,
        r#""cty":"JWT""#,
        r#""zip":"DEF""#,
        r#""alg":"HS256""#,
        r#""kid":"hs""#,
        r#""\u006bid":"es""#,
    ] {
        let header = HEADER.replace('}', &format!(",{more}}}"));
        scene.refuses(&scene.signed(&header, &claims().to_json()), Denial::MalformedToken);
    }
    for header in [
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":7,"typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":["hs"],"typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":null,"typ":"JWT"}"#,
        r#"{"kid":"hs","typ":"JWT"}"#,
        r#"["HS256","hs","JWT"]"#,
    ] {
        scene.refuses(&scene.signed(header, &claims().to_json()), Denial::MalformedToken);
    }
}

#[test]
fn a_token_in_another_spelling_is_malformed() {
    let scene = Scene::new();
    let good = scene.token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{good}") };
    // 32 bytes are 43 characters, of which the last has two bits that must be 0.
    let trailing_bits = {
        let last = signature.chars().last().unwrap();
        let next = char::from(u8::try_from(last).unwrap() + 1);
        format!("{header}.{payload}.{}{next}", signature.split_at(42).0)
    };
    for bad in [
        trailing_bits,
        format!("{good}="),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}.{payload}\n.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", STANDARD_ALPHABET),
        format!("{header}{payload}{signature}"),
        "..".to_owned(),
        "....".to_owned(),
        String::new(),
        "ü.ü.ü".to_owned(),
    ] {
        scene.refuses(&bad, Denial::MalformedToken);
    }
}

const STANDARD_ALPHABET: &str = "++++++++++++++++++++++++++++++++++++++++++A";

#[test]
fn a_token_over_4_kib_is_malformed() {
    let scene = Scene::new();
    let padded = |length: usize| scene.token(&Claims { client_session: Some("x".repeat(length)), ..claims() });
    let mut longest = (2500..3000).map(padded).filter(|token| token.len() <= 4096).last().unwrap();
    assert!(longest.len() > 4090 && scene.verify_at(&longest, NOW).is_ok());
    let scene = Scene::new();
    scene.refuses(&padded(3000), Denial::MalformedToken);
    longest.push_str("AAAAAAAA");
    scene.refuses(&longest, Denial::MalformedToken);
}

proptest! {
    // Each case makes keys, which takes a while without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
        let scene = Scene::new();
        let Scene { config, secret, cache, .. } = &scene;
        let verifier = Verifier { settings: &config.tokens, secret, host: &NoSignatures, cache };
        prop_assert!(verifier.verify(bytes.as_slice().into(), &scene.table(), NOW).is_err());
    }

    /// With a good signature, so that what is behind it is reached.
    #[test]
    fn any_header_and_claims_are_judged_without_a_panic(header in "\\PC*", claims in "\\PC*", alg in "HS256|EdDSA|ES256") {
        let scene = Scene::new();
        prop_assert!(scene.verify_at(&scene.signed(&header, &claims), NOW).is_err());
        for kid in ["hs", "ed", "es"] {
            let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#);
            prop_assert!(scene.verify_at(&scene.signed(&header, &claims), NOW).is_err());
        }
    }

    #[test]
    fn any_claim_that_can_be_written_comes_out_as_it_went_in(
        subject in "([!-~]([ -~]{0,126}[!-~])?)?", team in "[A-Za-z0-9_~-]{1,64}", sid: Option<String>
    ) {
        let scene = Scene::new();
        let sid = sid.filter(|sid| sid.len() < 300);
        let claims = Claims { subject, team: Some(team), client_session: sid, ..claims() };
        for token in [scene.token(&claims), scene.eddsa(&claims)] {
            let verified = scene.verify_at(&token, NOW).unwrap();
            prop_assert_eq!(&verified.claims, &claims);
        }
    }
}
