//! How a client says who it is: HTTP Basic, or parameters of the form (RFC 6749 section 2.3.1).

use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    form::Form,
    refusal::{OauthError, OauthRefusal},
};
use crate::{
    api::{
        login::key,
        pairs::{Plus, decode},
    },
    login::Shown,
};

/// What the client shows, in one of the two ways. Beside HTTP Basic the form may say once more who the client is
/// (section 3.2.1), but not prove it in a second way (section 2.3).
pub(super) fn client(headers: &HeaderMap, form: &Form) -> Result<Shown, OauthRefusal> {
    let in_form = (form.get("client_id"), form.get("client_secret"));
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next(), in_form) {
        (None, _, (Some(id), Some(secret))) => Ok(key(secret, Some(id.to_owned()))),
        (Some(value), None, (again, None)) => {
            let broken = || OauthRefusal::new(OauthError::InvalidClient, "Authorization is not Basic as in RFC 7617");
            let (id, secret) = basic(value.as_bytes()).ok_or_else(broken)?;
            if again.is_some_and(|again| again != id) {
                let detail = "client_id in the form is another one than in HTTP Basic";
                return Err(OauthRefusal::new(OauthError::InvalidRequest, detail));
            }
            Ok(key(&secret, Some(id)))
        }
        (None, _, _) => {
            let detail = "send client_id and client_secret, as HTTP Basic or in the form";
            Err(OauthRefusal::new(OauthError::InvalidClient, detail))
        }
        (Some(_), _, _) => {
            let detail = "send client_secret in one way only, as HTTP Basic or in the form";
            Err(OauthRefusal::new(OauthError::InvalidRequest, detail))
        }
    }
}

/// The id and the secret. Both are encoded as in forms before they are put together. A plus sign stands for itself all
/// the same: keys of other services may have some, no key has a space, and most clients do not encode.
fn basic(value: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_at_checked("basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (id, secret) = decoded.split_at_checked(colon)?;
    let secret = decode(secret.strip_prefix(b":")?, Plus::IsPlus)?;
    Some((decode(id, Plus::IsPlus)?, secret))
}
