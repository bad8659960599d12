//! OAuth 2.0: the token endpoint (RFC 6749), introspection (RFC 7662) and revocation (RFC 7009).

mod client;
mod form;
mod holder;
mod refusal;
mod token;

pub(super) use holder::{introspect, revoke};
pub(super) use token::token;
