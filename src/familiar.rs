//! Credentials that were found good lately, known again by a keyed fingerprint: that costs a small part of what reading one
//! and taking its SHA-256 does.
//!
//! What a request presents follows from its headers and the styles of its route alone, so it is the same again when these
//! are. It is looked up as ever: nothing is kept here but how it was presented, and its digest. Fingerprints are
//! SipHash-2-4 of 128 bits, under a secret that this VM drew for itself: who does not know it cannot make a credential that
//! is taken for another but by guessing, once in 2^128 attempts. Only credentials that are in the table, or were verified,
//! enter, so strangers push out nobody. Keys that were not in the table have a few slots of their own: who has a wrong key
//! most often sends it again.

use std::{cell::RefCell, hash::Hasher};

use siphasher::sip128::{Hasher128, SipHasher24};
use tollkeeper_contract::Digest;

use crate::{
    config::{Style, Styles},
    credential::{Credential, Presented, Token},
    request::{Field, Request},
};

/// How many are kept.
const SLOTS: usize = 2048;

/// How many keys are kept that are not in the table.
const STRANGERS: usize = 64;

/// What one VM knows again under one configuration.
pub struct Familiar {
    secret: Option<[u8; 16]>,
    /// Each fingerprint has one slot, which the last that was kept has.
    slots: RefCell<Slots>,
    /// The same for keys that were not in the table when they were presented.
    strangers: RefCell<Slots>,
}

type Slots = Vec<Option<Memory>>;

/// What a request presents, without what it presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// It as bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

#[derive(Clone, Copy)]
struct Memory {
    fingerprint: Fingerprint,
    style: Style,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Key(Digest),
    /// It is so many bytes at the end of its header.
    Token(usize),
}

impl Familiar {
    /// Knows nothing yet; without a secret, which nobody else may know, it never will.
    #[must_use]
    pub fn new(secret: Option<[u8; 16]>) -> Self {
        Self { secret, slots: RefCell::default(), strangers: RefCell::default() }
    }

    /// The fingerprint of what a request presents, unless that is nothing, or in more than one place.
    #[must_use]
    pub fn fingerprint(&self, request: &Request<'_>, styles: Styles) -> Option<Fingerprint> {
        let (place, value) = carried(request)?;
        let mut hasher = SipHasher24::new_with_key(self.secret.as_ref()?);
        // The value comes last, so nothing is ambiguous.
        hasher.write(&[place, Style::ALL.iter().fold(0, |bits, style| bits << 1 | u8::from(styles.contains(*style)))]);
        hasher.write(value);
        Some(Fingerprint(hasher.finish128().as_u128()))
    }

    /// What the request presents, if the same was found good before.
    #[must_use]
    pub fn recognise<'a>(&self, fingerprint: Fingerprint, request: &Request<'a>) -> Option<Presented<'a>> {
        recognise(&self.slots, fingerprint, request)
    }

    /// What the request presents, if it was a key that was not in the table; it may be there now.
    #[must_use]
    pub fn recognise_stranger<'a>(&self, fingerprint: Fingerprint, request: &Request<'a>) -> Option<Presented<'a>> {
        recognise(&self.strangers, fingerprint, request)
    }

    /// Keeps what was found good just now.
    pub fn keep(&self, fingerprint: Fingerprint, presented: &Presented<'_>) {
        keep(&self.slots, SLOTS, fingerprint, presented);
    }

    /// Keeps a key that is not in the table.
    pub fn keep_stranger(&self, fingerprint: Fingerprint, presented: &Presented<'_>) {
        keep(&self.strangers, STRANGERS, fingerprint, presented);
    }
}

/// Twice in use, and each as large as it is.
#[inline(never)]
fn recognise<'a>(slots: &RefCell<Slots>, fingerprint: Fingerprint, request: &Request<'a>) -> Option<Presented<'a>> {
    let slots = slots.try_borrow().ok()?;
    let found = (*slots.get(slot(fingerprint, slots.len()))?).filter(|memory| memory.fingerprint == fingerprint);
    let Memory { style, kind, .. } = found?;
    let credential = match kind {
        Kind::Key(digest) => Credential::Key(digest),
        Kind::Token(length) => {
            let (_, value) = carried(request)?;
            let (_, text) = value.split_at_checked(value.len().checked_sub(length)?)?;
            Credential::Token(Token { text, fingerprint: Some(fingerprint) })
        }
    };
    Some(Presented { style, credential })
}

#[inline(never)]
fn keep(slots: &RefCell<Slots>, most: usize, fingerprint: Fingerprint, presented: &Presented<'_>) {
    let kind = match presented.credential {
        Credential::Key(digest) => Kind::Key(digest),
        Credential::Token(token) => Kind::Token(token.text.len()),
    };
    if let Ok(mut slots) = slots.try_borrow_mut() {
        slots.resize(most, None);
        if let Some(slot) = slots.get_mut(slot(fingerprint, most)) {
            *slot = Some(Memory { fingerprint, style: presented.style, kind });
        }
    }
}

/// The one header that can carry a credential and is there, and which it is.
fn carried<'a>(request: &Request<'a>) -> Option<(u8, &'a [u8])> {
    match (request.authorization, request.api_key) {
        (Field::Once(value), Field::Absent) => Some((0, value)),
        (Field::Absent, Field::Once(value)) => Some((1, value)),
        _ => None,
    }
}

fn slot(fingerprint: Fingerprint, slots: usize) -> usize {
    // Any bits of it are as good as others.
    (fingerprint.0 as usize).checked_rem(slots).unwrap_or_default()
}

impl std::fmt::Debug for Familiar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Familiar(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Familiar;
    use crate::{
        config::{Style, Styles},
        credential::{self, Credential, Presented},
        request::{Field, Request},
    };
    use proptest::prelude::*;
    use tollkeeper_contract::Digest;

    fn field(value: Option<&str>) -> Field<'_> {
        value.map_or(Field::Absent, |value| Field::Once(value.as_bytes()))
    }

    fn keep(familiar: &Familiar, request: &Request<'_>, styles: Styles) -> bool {
        let (Some(fingerprint), Ok(presented)) =
            (familiar.fingerprint(request, styles), credential::find(request, styles))
        else {
            return false;
        };
        familiar.keep(fingerprint, &presented);
        true
    }

    fn digest_of(presented: &Presented<'_>) -> Digest {
        match presented.credential {
            Credential::Key(digest) => digest,
            Credential::Token(token) => Digest::of(token.text),
        }
    }

    fn recognise<'a>(familiar: &Familiar, request: &Request<'a>, styles: Styles) -> Option<Presented<'a>> {
        familiar.recognise(familiar.fingerprint(request, styles)?, request)
    }

    #[test]
    fn whoever_draws_another_secret_has_other_fingerprints() {
        let request = Request { authorization: Field::Once(b"secret"), ..Request::default() };
        let of = |secret| Familiar::new(Some([secret; 16])).fingerprint(&request, Styles::all()).unwrap();
        assert!(of(1) == of(1) && of(1) != of(2));
    }

    proptest! {
        /// Few words and styles, so that many requests look nearly alike.
        #[test]
        fn it_says_what_reading_the_credential_again_would_say(
            requests in proptest::collection::vec((
                proptest::option::of("(Bearer |token |)(a|b|eyJhbGciOiJIUzI1NiJ9[.](a|e30)[.]|a,b| |)"),
                proptest::option::of("a|b|a,b|"),
                0..4_usize,
                any::<bool>(),
            ), 1..40)
        ) {
            let familiar = Familiar::new(Some([7; 16]));
            for (authorization, api_key, style, any_style) in &requests {
                let (authorization, api_key) = (field(authorization.as_deref()), field(api_key.as_deref()));
                let request = Request { authorization, api_key, ..Request::default() };
                let styles = if *any_style { Styles::all() } else { Styles::only(Style::ALL[*style]) };
                let read = credential::find(&request, styles);
                if let Some(known) = recognise(&familiar, &request, styles) {
                    let read = read.unwrap();
                    prop_assert_eq!((known.style, digest_of(&known)), (read.style, digest_of(&read)));
                    if let (Credential::Token(known), Credential::Token(read)) = (known.credential, read.credential) {
                        prop_assert_eq!(known.text, read.text);
                    }
                }
                if keep(&familiar, &request, styles) {
                    prop_assert!(recognise(&familiar, &request, styles).is_some());
                }
            }
        }
    }
}
