//! The endpoints of keys and of the audit log.

use super::{endpoint::Endpoint, rules};
use crate::api::wire::{
    AuditList, ImportBody, ImportView, KeyChangeBody, KeyList, KeyMade, KeyView, NewKeyBody, RevokeBody, RotateBody,
};

pub(super) fn keys() -> Vec<Endpoint> {
    let (all, one) = ("/v1/keys", "/v1/keys/{id}");
    let mut keys = vec![
        Endpoint::get(all, "listKeys", "List keys")
            .admin()
            .page::<rules::ShortId>()
            .query::<rules::TenantId>("team", "Only those of this team.")
            .query::<rules::TenantId>("enterprise", "Only those of this enterprise.")
            .query::<rules::TenantId>("user", "Only those of this user.")
            .query::<rules::TenantId>("service_account", "Only those of this service account.")
            .query::<rules::KeyStateWord>("state", "Only those in this state.")
            .query::<rules::KindWord>("kind", "Only those of this kind.")
            .answers::<KeyList>(200, "Some keys, in the order of their ids."),
        Endpoint::post(all, "createKey", "Make a key")
            .described(
                "The key is shown once, in this answer, and never again. `expires`, if there is one, must be to come.",
            )
            .admin()
            .changes()
            .once()
            .takes::<NewKeyBody>()
            .answers::<KeyMade>(201, "It is made; `key` is its text, unless an earlier request had made it."),
        Endpoint::get(one, "showKey", "Show a key")
            .admin()
            .id::<rules::ShortId>()
            .answers::<KeyView>(200, "The key: all about it but its text."),
        Endpoint::patch(one, "changeKey", "Change a key")
            .described(
                "An `expires` that is past ends it at once, until another change takes that back. Sessions that were made \
                 with it go on as they are, also if it is disabled or may do less now: revoke them with \
                 `POST /v1/sessions/revoke`.",
            )
            .admin()
            .id::<rules::ShortId>()
            .changes()
            .takes::<KeyChangeBody>()
            .answers::<KeyView>(200, "The key after the change.")
            .refuses(409, "The key is revoked, or another one took its place."),
        Endpoint::delete(one, "deleteKey", "Delete a key")
            .described(
                "Callers are told that it is unknown. Sessions that were made with it go on, unless its team has \
                 `revoke_sessions`.",
            )
            .admin()
            .id::<rules::ShortId>()
            .changes()
            .done("It is gone."),
    ];
    keys.extend(acts());
    keys
}

fn acts() -> [Endpoint; 3] {
    [
        Endpoint::post("/v1/keys/{id}/revoke", "revokeKey", "Revoke a key for good")
            .described(
                "It stays listed, and callers are told that it is revoked. Sessions that were made with it go on, unless \
                 it is `compromised`, or its team has `revoke_sessions`.",
            )
            .admin()
            .id::<rules::ShortId>()
            .changes()
            .may_take::<RevokeBody>()
            .answers::<KeyView>(200, "The key, revoked."),
        Endpoint::post("/v1/keys/{id}/rotate", "rotateKey", "Replace a key by a new one")
            .described("The old key still works for `overlap_seconds`. The new one is shown once, in this answer.")
            .admin()
            .id::<rules::ShortId>()
            .changes()
            .once()
            .may_take::<RotateBody>()
            .answers::<KeyMade>(201, "The new key."),
        Endpoint::post("/v1/keys/import", "importKeys", "Import keys by their SHA-256")
            .described(
                "All of them are imported, or none; those that exist already are told and left as they are. A key may have \
                 expired.",
            )
            .admin()
            .changes()
            .takes::<ImportBody>()
            .answers::<ImportView>(200, "What became of them.")
            .refuses(409, "A service account has its one key already, a user too many, or an id is taken.")
            .refuses(422, "A key names something that does not exist."),
    ]
}

pub(super) fn audit() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/audit", "listAudit", "Read the audit log")
            .admin()
            .page::<rules::EntryNumber>()
            .query::<rules::Label>("actor", "Only changes by this actor.")
            .query::<rules::ActionText>("action", "Only this action.")
            .query::<rules::ResourceText>("resource", "Only changes of this thing.")
            .query::<rules::TenantId>("team", "Only changes that concern this team.")
            .query::<rules::TenantId>("enterprise", "Only changes that concern this enterprise.")
            .query::<rules::AuditOrderWord>("order", "Which come first; the oldest unless told. `after` goes on in it.")
            .query::<rules::Time>("since", "Only changes from this time on.")
            .query::<rules::Time>("until", "Only changes before this time.")
            .answers::<AuditList>(200, "Some changes, in the order that was asked for."),
    ]
}
