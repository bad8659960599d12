//! What stands in a token (RFC 7519), read so strictly that it has one meaning only.
//!
//! A token is three parts in base64url without padding: the header, the claims, and a signature over both as they
//! stand there (RFC 7515 section 7.1). Whoever reads one looks at the header, takes the algorithm from the key that it
//! names, verifies the signature, and only then believes the claims.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{Algorithm, EnterpriseId, KeyId, Kind, Origin, Scopes, SessionId, Subject, TeamId};

/// The longest token that is looked at, in bytes.
pub const MAX_LENGTH: usize = 4096;

/// The greatest number in a claim: what every JSON reader takes as it is.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A token that cannot be read in exactly one way, or that has something that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What the header of a token says: exactly `alg`, `kid` and `typ`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How it says that it is signed; the key that it names decides.
    pub algorithm: Algorithm,
    /// The key that it says it is signed with.
    pub kid: String,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who issued it (RFC 7519 section 4.1.1).
    pub issuer: String,
    /// For whom it is meant (section 4.1.3): exactly one.
    pub audience: String,
    /// Whom it was issued to (section 4.1.2): the subject of the key, or the user; empty if nobody said.
    pub subject: String,
    /// The team that it acts for.
    pub team: Option<String>,
    /// The enterprise for which it acts, if it acts for no team.
    pub enterprise: Option<String>,
    /// The kind of the key that it was made with; [`Kind::Personal`] after a login with a password.
    pub kind: Kind,
    /// What it may do: sorted, parted by one space.
    pub scope: String,
    /// The id of the key that it was made with; `None` after a login with a password.
    pub key_id: Option<String>,
    /// The origin that the key was bound to.
    pub origin: Option<String>,
    /// The `session_id` that the client chose.
    pub client_session: Option<String>,
    /// The session's id (section 4.1.7).
    pub session: String,
    /// When it was issued (Unix time, seconds).
    pub issued: u64,
    /// The first second in which it works.
    pub not_before: u64,
    /// The first second in which it works no longer.
    pub expires: u64,
}

/// A token in its parts. Nothing is known about its signature yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What the header says.
    pub header: Header,
    /// What the signature is over.
    pub signed: &'a [u8],
    /// The claims as they were sent, for [`Claims::parse`].
    pub claims: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderJson {
    alg: String,
    kid: String,
    typ: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimsJson {
    iss: String,
    aud: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    team: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    enterprise: Option<String>,
    kind: String,
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    origin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    sid: Option<String>,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// A claim that stands there says something: `null` is no second way to leave it out.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

impl Claims {
    /// The claims as a token carries them.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = ClaimsJson {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: self.subject.clone(),
            team: self.team.clone(),
            enterprise: self.enterprise.clone(),
            kind: self.kind.as_str().to_owned(),
            scope: self.scope.clone(),
            kid: self.key_id.clone(),
            origin: self.origin.clone(),
            sid: self.client_session.clone(),
            jti: self.session.clone(),
            iat: self.issued,
            nbf: self.not_before,
            exp: self.expires,
        };
        // Texts and numbers under fixed names can always be written.
        serde_json::to_string(&json).unwrap_or_default()
    }

    /// Reads claims. Whether they are true is for the signature to say.
    ///
    /// # Errors
    /// When a name is missing, repeated, unknown or `null`, a time is no whole number from 0 to [`MAX_NUMBER`], the
    /// kind is not known, it acts for both a team and an enterprise, or for neither, or a value could not stand in a
    /// header or be the id of anything.
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let claims: ClaimsJson = object(json)?;
        let times = [claims.iat, claims.nbf, claims.exp];
        if times.into_iter().any(|time| time > MAX_NUMBER) || !claims.is_well_named() {
            return Err(Malformed);
        }
        Ok(Self {
            issuer: claims.iss,
            audience: claims.aud,
            subject: claims.sub,
            team: claims.team,
            enterprise: claims.enterprise,
            kind: Kind::from_name(&claims.kind).ok_or(Malformed)?,
            scope: claims.scope,
            key_id: claims.kid,
            origin: claims.origin,
            client_session: claims.sid,
            session: claims.jti,
            issued: claims.iat,
            not_before: claims.nbf,
            expires: claims.exp,
        })
    }
}

impl ClaimsJson {
    /// Every value goes into headers, logs and names of shared data, so it must be what it is called.
    fn is_well_named(&self) -> bool {
        let owner = match (&self.team, &self.enterprise) {
            (Some(team), None) => TeamId::parse(team).is_ok(),
            (None, Some(enterprise)) => EnterpriseId::parse(enterprise).is_ok(),
            (None, None) | (Some(_), Some(_)) => false,
        };
        owner
            && (self.sub.is_empty() || Subject::parse(&self.sub).is_ok())
            && Scopes::parse(&self.scope).is_ok_and(|scopes| scopes.as_str() == self.scope)
            && self.kid.as_deref().is_none_or(|kid| KeyId::parse(kid).is_ok())
            && self.origin.as_deref().is_none_or(|origin| Origin::parse(origin).is_ok())
            && SessionId::parse(&self.jti).is_ok()
    }
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is longer than [`MAX_LENGTH`], has not three parts in canonical base64url, its header is not exactly
    /// `alg`, `kid` and `typ` (so also when it has `crit`, brings a key along, or is encrypted), or its ES256 signature
    /// is the greater of its two spellings.
    pub fn split(token: &'a [u8]) -> Result<Self, Malformed> {
        if token.len() > MAX_LENGTH {
            return Err(Malformed);
        }
        let dot = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'.').ok_or(Malformed);
        let (signed, signature) = token.split_at_checked(dot(token)?).ok_or(Malformed)?;
        let (header, claims) = signed.split_at_checked(dot(signed)?).ok_or(Malformed)?;
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed);
        let header = Header::parse(&decode(header)?)?;
        let claims = decode(claims.strip_prefix(b".").ok_or(Malformed)?)?;
        let signature = decode(signature.strip_prefix(b".").ok_or(Malformed)?)?;
        if header.algorithm == Algorithm::Es256 && signature.get(32..).is_some_and(|s| s > ES256_HALF.as_slice()) {
            return Err(Malformed);
        }
        Ok(Self { header, signed, claims, signature })
    }
}

/// Half of the order n of P-256 (SEC 2 section 2.4.2), rounded down. A signature (r, s) is as good with n - s in place
/// of s, and whoever holds one can write the other: only the one whose s is not above this is taken.
const ES256_HALF: &[u8; 32] = &[
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d,
    0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

impl Header {
    fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let header: HeaderJson = object(json)?;
        if header.typ != "JWT" {
            return Err(Malformed);
        }
        Ok(Self { algorithm: Algorithm::from_name(&header.alg).ok_or(Malformed)?, kid: header.kid })
    }

    /// What is signed: this header and these claims, as [`Claims::to_json`] writes them.
    #[must_use]
    pub fn signing_input(&self, claims: &str) -> String {
        let header = HeaderJson { alg: self.algorithm.as_str().into(), kid: self.kid.clone(), typ: "JWT".into() };
        let header = serde_json::to_string(&header).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }
}

/// The token: what was signed, and the signature.
#[must_use]
pub fn with_signature(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A JSON object: derived readers would also take an array of the values in their order.
fn object<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, Malformed> {
    if json.first() != Some(&b'{') {
        return Err(Malformed);
    }
    serde_json::from_slice(json).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::{Claims, ES256_HALF, Header, Malformed, Parts, with_signature};
    use crate::{Algorithm, Kind};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;

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
        let other = with_signature(&super::tests::header().signing_input("{}"), &[0xff; 64]);
        assert!(Parts::split(other.as_bytes()).is_ok());
    }

    #[test]
    fn claims_with_two_readings_are_refused() {
        let good = claims().to_json();
        assert!(Claims::parse(good.as_bytes()).is_ok());
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
        fn any_text_survives_in_a_claim(text: String, issued in 0..super::MAX_NUMBER) {
            let claims = Claims { client_session: Some(text.clone()), issuer: text, issued, ..claims() };
            prop_assert_eq!(Claims::parse(claims.to_json().as_bytes()), Ok(claims));
        }
    }
}
