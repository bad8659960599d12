//! Tokens have one reading, and everything else is refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::{Claims, Header, MAX_LENGTH, MAX_NUMBER, Malformed, Parts, parts::ES256_HALF, with_signature};
use crate::{Algorithm, Kind};

fn claims() -> Claims {
    Claims {
        issuer: "tollkeeper".into(),
        audience: "api".into(),
        subject: "ci".into(),
        team: Some("acme".into()),
        enterprise: None,
        kind: Kind::Application,
        scope: "read write".into(),
        key_id: Some("k1".into()),
        origin: None,
        client_session: Some("\u{0}ü\"".into()),
        session: "s1".into(),
        issued: 1,
        not_before: 1,
        expires: 7201,
    }
}

fn header() -> Header {
    Header { algorithm: Algorithm::Hs256, kid: "t1".into() }
}

fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn a_token_comes_back_as_it_went() {
    let input = header().signing_input(&claims().to_json());
    let token = with_signature(&input, b"signature");
    let parts = Parts::split(token.as_bytes()).unwrap();
    assert_eq!((parts.header, parts.signed), (header(), input.as_bytes()));
    assert_eq!(parts.signature, b"signature");
    assert_eq!(Claims::parse(&parts.claims), Ok(claims()));
}

#[test]
fn a_header_with_anything_else_is_refused() {
    assert!(Parts::split(token(r#"{"alg":"HS256","kid":"t1","typ":"JWT"}"#, "{}").as_bytes()).is_ok());
    for bad in [
        r#"{"alg":"none","kid":"t1","typ":"JWT"}"#,
        r#"{"alg":"None","kid":"t1","typ":"JWT"}"#,
        r#"{"alg":"hs256","kid":"t1","typ":"JWT"}"#,
        r#"{"alg":"RS256","kid":"t1","typ":"JWT"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"t1"}"#,
        r#"{"alg":"HS256","kid":"t1","typ":"JWE"}"#,
        r#"{"alg":"HS256","kid":1,"typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"t1","kid":"t2","typ":"JWT"}"#,
        r#"{"alg":"HS256","alg":"none","kid":"t1","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"t1","typ":"JWT","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","kid":"t1","typ":"JWT","jwk":{}}"#,
        r#"["HS256","t1","JWT"]"#,
        r#" {"alg":"HS256","kid":"t1","typ":"JWT"}"#,
        r#"{"alg":"HS256","kid":"t1","typ":"JWT"} x"#,
        "{}",
        "",
    ] {
        assert!(Parts::split(token(bad, "{}").as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_token_in_another_spelling_is_refused() {
    let good = token(r#"{"alg":"HS256","kid":"t1","typ":"JWT"}"#, "{}");
    assert!(Parts::split(good.as_bytes()).is_ok());
    let (head, _) = good.rsplit_once('.').unwrap();
    for bad in [
        head.to_owned(),
        format!("{head}.AB"),
        format!("{head}.AA="),
        format!("{head}.A+"),
        format!("{head}.AA "),
        format!("{head}.AA\n"),
        format!(" {good}"),
        format!("{good}.AA"),
        format!("{good}.AA.AA"),
        format!("{head}.{}", "A".repeat(4096)),
    ] {
        assert!(Parts::split(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn the_longest_token_is_taken_and_one_that_is_longer_is_not() {
    let token = token(r#"{"alg":"HS256","kid":"t1","typ":"JWT"}"#, "{}");
    let (signed, _) = token.rsplit_once('.').unwrap();
    let of_length = |length| format!("{signed}.{}", "A".repeat(length - signed.len() - 1));
    assert!(Parts::split(of_length(MAX_LENGTH).as_bytes()).is_ok());
    // With one more alone it would be no base64url.
    assert_eq!(Parts::split(of_length(MAX_LENGTH + 2).as_bytes()), Err(Malformed));
}

#[test]
fn the_greater_spelling_of_an_es256_signature_is_refused() {
    let header = Header { algorithm: Algorithm::Es256, kid: "t1".into() };
    let split = |s: &[u8]| {
        let token = with_signature(&header.signing_input("{}"), &[&[0xff; 32], s].concat());
        Parts::split(token.as_bytes()).map(|_| ())
    };
    let mut above = *ES256_HALF;
    above[31] += 1;
    assert_eq!(split(ES256_HALF), Ok(()));
    assert_eq!(split(&[0x7f; 32]), Ok(()));
    assert_eq!(split(&above), Err(Malformed));
    assert_eq!(split(&[0xff; 32]), Err(Malformed));
    // In another algorithm these bytes are something else.
    let other = with_signature(&self::header().signing_input("{}"), &[0xff; 64]);
    assert!(Parts::split(other.as_bytes()).is_ok());
}

#[test]
fn claims_with_two_readings_are_refused() {
    let good = claims().to_json();
    assert!(Claims::parse(good.as_bytes()).is_ok());
    let last = Claims { expires: MAX_NUMBER, ..claims() };
    assert_eq!(Claims::parse(last.to_json().as_bytes()), Ok(last));
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    for bad in [
        with(r#""exp":7201"#, r#""exp":7201,"exp":9999"#),
        with(r#""exp":7201"#, r#""exp":7201.0"#),
        with(r#""exp":7201"#, r#""exp":7.201e3"#),
        with(r#""exp":7201"#, r#""exp":"7201""#),
        with(r#""exp":7201"#, r#""exp":-1"#),
        with(r#""exp":7201"#, r#""exp":null"#),
        with(r#""exp":7201"#, r#""exp":9007199254740992"#),
        with(r#""exp":7201"#, r#""exp":18446744073709551616"#),
        with(r#","exp":7201"#, ""),
        with(r#""aud":"api""#, r#""aud":["api"]"#),
        with(r#""team":"acme""#, r#""team":null"#),
        with(r#""team":"acme""#, r#""team":"acme","enterprise":"acme""#),
        with(r#""team":"acme","#, ""),
        with(r#""kind":"application""#, r#""kind":"session""#),
        with(r#""kind":"application""#, r#""kind":"application","admin":true"#),
        with(r#""team":"acme""#, r#""team":"..""#),
        with(r#""team":"acme""#, r#""team":"acme/x""#),
        with(r#""team":"acme""#, r#""enterprise":"""#),
        with(r#""sub":"ci""#, r#""sub":"ci\r\nx-admin: true""#),
        with(r#""scope":"read write""#, r#""scope":"write read""#),
        with(r#""scope":"read write""#, r#""scope":"read  write""#),
        with(r#""scope":"read write""#, r#""scope":"read\nwrite""#),
        with(r#""kid":"k1""#, r#""kid":"k 1""#),
        with(r#""kid":"k1""#, r#""kid":"k1","origin":"https://A.example""#),
        with(r#""jti":"s1""#, r#""jti":"""#),
        format!("[{good}]"),
        String::new(),
    ] {
        assert!(Claims::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Claims::parse(b"{\"iss\":\"\xff\"}").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
        let _ = Parts::split(&bytes);
        let _ = Claims::parse(&bytes);
    }

    #[test]
    fn any_text_survives_in_a_claim(text: String, issued in 0..MAX_NUMBER) {
        let claims = Claims { client_session: Some(text.clone()), issuer: text, issued, ..claims() };
        prop_assert_eq!(Claims::parse(claims.to_json().as_bytes()), Ok(claims));
    }
}
