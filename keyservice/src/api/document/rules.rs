//! The rules of texts and numbers, as schemas: what the parsers of `contract` and `domain` enforce.
//!
//! Patterns have no look-around, so every validator reads them alike. `tests` holds them against the parsers.

use std::borrow::Cow;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, RefOr, Schema, SchemaFormat,
        schema::{ObjectBuilder, Type},
    },
};

/// What one text must look like.
struct Text {
    pattern: &'static str,
    /// Characters: the fewest and the most.
    length: (usize, usize),
    format: Option<KnownFormat>,
    example: &'static str,
    about: &'static str,
}

impl Text {
    fn schema(&self) -> RefOr<Schema> {
        let (least, most) = self.length;
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(self.pattern))
            .min_length(Some(least))
            .max_length(Some(most))
            .format(self.format.clone().map(SchemaFormat::KnownFormat))
            .description(Some(self.about))
            .examples([json!(self.example)]);
        text.into()
    }
}

macro_rules! texts {
    ($($(#[doc = $about:literal])+ $name:ident { $pattern:expr, $least:literal..=$most:expr, $example:literal $(, $format:ident)? })+) => {
        $(
            $(#[doc = $about])+
            pub(in crate::api) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let text = Text {
                        pattern: $pattern,
                        length: ($least, $most),
                        format: None$(.or(Some(KnownFormat::$format)))?,
                        example: $example,
                        about: concat!($($about),+).trim_ascii_start(),
                    };
                    text.schema()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

macro_rules! words {
    ($($(#[doc = $about:literal])+ $name:ident { $($word:literal),+ })+) => {
        $(
            $(#[doc = $about])+
            pub(in crate::api) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let about = concat!($($about),+).trim_ascii_start();
                    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([$($word),+]));
                    word.description(Some(about)).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

/// Controls, separators of lines and format characters, which no name has; those beyond U+FFFF are refused as well.
macro_rules! unseen {
    () => {
        r"\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    };
}

/// One line: something that is seen at either end.
macro_rules! line {
    () => {
        concat!(
            "^[^",
            unseen!(),
            r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]([^",
            unseen!(),
            "]*[^",
            unseen!(),
            r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000])?$"
        )
    };
}

/// A date and a time with its zone, 1970 to 9999 (RFC 3339).
macro_rules! time {
    () => {
        r"^(19[7-9]|[2-9][0-9][0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
    };
}

texts! {
    /// The id of an enterprise, a team, a user or a service account: 1 to 64 unreserved characters (RFC 3986), not of
    /// dots only.
    TenantId { r"^\.*[A-Za-z0-9_~-][A-Za-z0-9._~-]*$", 1..=64, "acme" }
    /// The public id of a key, a session or a key that signs tokens.
    ShortId { "^[A-Za-z0-9]+$", 1..=32, "c7tq4m2xkz5r6y3a" }
    /// What people call something: one line without control or format characters, with no space at either end.
    Label { line!(), 1..=128, "Acme Ltd" }
    /// Why somebody did something, in their words: one line.
    Why { line!(), 1..=256, "found in a public repository" }
    /// One right (RFC 6749 section 3.3).
    ScopeWord { r"^[!#-\[\]-~]+$", 1..=64, "read" }
    /// Whom a key is for, in words of the operator's: printable ASCII with no space at either end.
    SubjectText { "^[!-~]([ -~]*[!-~])?$", 1..=128, "ci@acme.example" }
    /// A time (RFC 3339), 1970 to 9999. Fractions of a second are cut off.
    Time { time!(), 20..=64, "2030-01-31T12:00:00Z", DateTime }
    /// A SHA-256 digest in hexadecimal digits.
    Sha256 { "^[0-9A-Fa-f]{64}$", 64..=64, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
    /// A host name or an address, in any case, without a port.
    Host { r"^[A-Za-z0-9_.:\[\]-]+$", 1..=253, "api.acme.example" }
    /// A domain from which calls come, perhaps with a port, perhaps with `http://` or `https://` before it.
    Domain { r"^[A-Za-z0-9_\[:/.\]-]+$", 1..=512, "mycoolapp.com" }
    /// A URL that gets callbacks; it ends in `/webhook`.
    WebhookUrl { r"^[!-~]+/webhook$", 9..=520, "https://mycoolapp.com/api/webhook" }
    /// What makes a repeated request count once, best a random UUID.
    IdempotencyText { "^[!-~]+$", 1..=255, "f47ac10b-58cc-4372-a567-0e02b2c3d479" }
    /// Where a page of a snapshot begins: 2 hexadecimal digits for the table, and a digest.
    CursorText { "^[0-9A-Fa-f]{66}$", 66..=66, "010000000000000000000000000000000000000000000000000000000000000000" }
    /// What was done, for example `key.revoke`.
    ActionText { "^[a-z_.]+$", 1..=64, "key.revoke" }
    /// What something was done to: its sort and its id.
    ResourceText { "^[!-~]+$", 1..=300, "key:c7tq4m2xkz5r6y3a" }
    /// How a node calls itself: Envoy's `node.id`, and a part that is made at random when Envoy starts.
    NodeText { "^[!-~]+$", 1..=256, "edge-1#5f3a9c01" }
}

words! {
    /// Whether an enterprise, a team or a user is served.
    TenantStateWord { "active", "disabled" }
    /// Whether a key is meant to work; revoking is an act of its own, and final.
    SettableStateWord { "active", "disabled" }
    /// Whether a key works.
    KeyStateWord { "active", "disabled", "revoked" }
    /// What sort of key it is.
    KindWord { "application", "service_account", "enterprise_service_account", "personal" }
    /// Why a key was not imported: the service has it already, or it stands in the list before.
    DuplicateWord { "exists", "repeated" }
    /// What is said about a session.
    SessionStateWord { "live", "revoked", "expired" }
    /// Which entries of the audit log come first.
    AuditOrderWord { "oldest", "newest" }
    /// With what tokens are signed.
    AlgorithmWord { "HS256", "EdDSA", "ES256" }
    /// Whether a key signs new tokens, or its tokens are still taken, or neither.
    TokenKeyStateWord { "active", "retired", "ended" }
}

macro_rules! numbers {
    ($($(#[doc = $about:literal])+ $name:ident { $least:literal..=$most:literal })+) => {
        $(
            $(#[doc = $about])+
            pub(in crate::api) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let about = concat!($($about),+).trim_ascii_start();
                    let number = ObjectBuilder::new().schema_type(Type::Integer).description(Some(about));
                    number.minimum(Some::<usize>($least)).maximum(Some::<usize>($most)).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )+
    };
}

numbers! {
    /// How many items a page has.
    PageLimit { 1..=1000 }
    /// How long to wait for the nodes, in seconds.
    WaitSeconds { 1..=60 }
    /// The number of an entry of the audit log.
    EntryNumber { 0..=9_223_372_036_854_775_807 }
    /// A whole number of 64 bits.
    WholeNumber { 0..=18_446_744_073_709_551_615 }
}
