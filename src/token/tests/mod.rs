//! Which tokens are taken, rule by rule.

mod form;
mod hostile;
mod judgement;
mod moved;
mod remembered;
mod signatures;
mod wycheproof;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::prelude::{ECDSAP256KeyPairLike, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, JWTClaims};
use serde_json::Value;
use sha2::Sha256;
use tollkeeper_contract::{
    Digest, Kind, TokenKeyRecord, TokenMaterial,
    page::{Cursor, Entry, NodeToken, Table},
    token::{Claims, Parts},
};

use super::{Cache, NoSignatures, Signatures, Verified, Verifier};
use crate::{
    config::Config,
    refusal::{Denial, Refusal},
    shared::memory::Memory,
    table::{KeyTable, Names},
    time::Monotonic,
};

/// When the tokens of these tests are used, unless a test says otherwise: the second in which they were issued.
const NOW: u64 = 1_800_000_000;
const SALT: [u8; 32] = [7; 32];
const HEADER: &str = r#"{"alg":"HS256","kid":"hs","typ":"JWT"}"#;

pub(super) fn claims() -> Claims {
    Claims {
        issuer: "tollkeeper".into(),
        audience: "tollkeeper".into(),
        subject: "ci".into(),
        team: Some("acme".into()),
        enterprise: None,
        kind: Kind::Application,
        scope: "read write".into(),
        key_id: Some("k1".into()),
        origin: None,
        client_session: None,
        session: "s1".into(),
        issued: NOW,
        not_before: NOW,
        expires: NOW + 7200,
    }
}

/// A node with the three token keys `hs`, `ed` and `es`, and those who can sign with them.
struct Scene {
    config: Config,
    names: Names,
    shared: Memory,
    secret: NodeToken,
    cache: RefCell<Cache>,
    ed: Ed25519KeyPair,
    es: ES256KeyPair,
}

impl Scene {
    fn new() -> Self {
        Self::with_leeway(0)
    }

    fn with_leeway(seconds: u32) -> Self {
        let config = format!(r#"{{"key_service":{{"cluster":"k"}},"tokens":{{"leeway_seconds":{seconds}}}}}"#);
        let scene = Self {
            config: Config::parse(config.as_bytes()).unwrap(),
            names: Names::new("test"),
            shared: Memory::default(),
            secret: NodeToken::parse("0123456789abcdef").unwrap(),
            cache: RefCell::default(),
            ed: Ed25519KeyPair::generate().with_key_id("ed"),
            es: ES256KeyPair::generate().with_key_id("es"),
        };
        scene.publish("hs", Some(TokenMaterial::Hs256(&SALT)));
        scene.publish("ed", Some(TokenMaterial::EdDsa(&scene.ed_public())));
        scene.publish("es", Some(TokenMaterial::Es256(&scene.es_public())));
        scene
    }

    fn ed_public(&self) -> [u8; 32] {
        self.ed.key_pair().public_key().to_bytes().try_into().unwrap()
    }

    fn es_public(&self) -> [u8; 65] {
        self.es.key_pair().public_key().to_bytes_uncompressed().try_into().unwrap()
    }

    /// What the steward does when it hears of a token key, or of its end.
    fn publish(&self, kid: &str, material: Option<TokenMaterial<'_>>) {
        let record = material.map(|material| {
            let mut record = Vec::new();
            TokenKeyRecord { kid, material }.encode(&mut record);
            record
        });
        let cursor = Cursor { table: Table::TokenKeys, digest: Digest::of(kid.as_bytes()) };
        self.table().apply(&[Entry { cursor, record: record.as_deref() }]).unwrap();
    }

    fn table(&self) -> KeyTable<'_, Memory> {
        let Self { config, names, shared, .. } = self;
        KeyTable { shared, names, limits: config.quotas.limit.into(), now: Monotonic(0) }
    }

    fn verify_at(&self, token: &str, now: u64) -> Result<Rc<Verified>, Refusal> {
        self.verify_with(token, now, &NoSignatures)
    }

    fn verify_with(&self, token: &str, now: u64, host: &dyn Signatures) -> Result<Rc<Verified>, Refusal> {
        self.verifier(host).verify(token.as_bytes().into(), &self.table(), now)
    }

    fn verifier<'a>(&'a self, host: &'a dyn Signatures) -> Verifier<'a> {
        let Self { config, secret, cache, .. } = self;
        Verifier { settings: &config.tokens, secret, host, cache }
    }

    #[track_caller]
    fn takes(&self, token: &str) {
        let verified = self.verify_at(token, NOW).unwrap_or_else(|refusal| panic!("{refusal:?}: {token}"));
        assert_eq!(verified.claims, claims());
    }

    #[track_caller]
    fn refuses(&self, token: &str, denial: Denial) {
        let before = self.cache.borrow().len();
        assert_eq!(self.verify_at(token, NOW), Err(denial.into()), "{token}");
        assert_eq!(self.cache.borrow().len(), before, "{token}");
    }

    /// A token that is signed, whatever it says.
    fn signed(&self, header: &str, claims: &str) -> String {
        hs256(header.as_bytes(), claims.as_bytes(), &self.secret.token_secret(&SALT))
    }

    fn token(&self, claims: &Claims) -> String {
        self.signed(HEADER, &claims.to_json())
    }

    fn eddsa(&self, claims: &Claims) -> String {
        self.ed.sign(for_jwt_simple(claims)).unwrap()
    }

    /// In the smaller of its two spellings: jwt-simple takes what comes.
    fn es256(&self, claims: &Claims) -> String {
        let token = self.es.sign(for_jwt_simple(claims)).unwrap();
        if Parts::split(token.as_bytes()).is_ok() { token } else { twin(&token) }
    }
}

/// The same ES256 signature in its other spelling: n - s in place of s.
fn twin(token: &str) -> String {
    // The order n of P-256 (SEC 2 section 2.4.2).
    let order = Digest::from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for (digit, of_order) in signature[32..].iter_mut().zip(order.as_bytes()).rev() {
        let difference = i16::from(*of_order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn for_jwt_simple(claims: &Claims) -> JWTClaims<BTreeMap<String, Value>> {
    serde_json::from_str(&claims.to_json()).unwrap()
}

fn hs256(header: &[u8], claims: &[u8], secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A host that knows ES256, and counts how often it is asked.
#[derive(Debug)]
struct Counting {
    asked: Cell<u32>,
    says: bool,
}

impl Signatures for Counting {
    fn es256(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Option<bool> {
        self.asked.set(self.asked.get() + 1);
        Some(self.says)
    }
}
