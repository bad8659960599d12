//! The few facts of a request, read from its headers once, as bytes.

/// What the rooms need to know of a request.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`, with its query.
    pub target: &'a [u8],
    /// `authorization`.
    pub authorization: Field<'a>,
    /// `:authority`.
    pub authority: &'a [u8],
    /// `x-api-key`.
    pub api_key: Field<'a>,
    /// `origin`.
    pub origin: Field<'a>,
    /// `x-delegate-account-id`: the team that an enterprise's credential is to act for.
    pub delegate: Field<'a>,
    /// How an answer is written.
    pub wire: Wire,
    /// Names of identity headers that the client sent; only the filter may speak in these.
    pub spoofed: Vec<&'a str>,
}

/// A header that may stand only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Field<'a> {
    /// Not there.
    #[default]
    Absent,
    /// There once.
    Once(&'a [u8]),
    /// There more than once.
    Repeated,
}

/// How the client wants answers to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// As HTTP.
    #[default]
    Http,
    /// As gRPC: status 200 and the outcome in `grpc-status`.
    Grpc,
}

impl<'a> Request<'a> {
    /// Reads the headers, whose names are in lower case, as Envoy keeps them.
    pub fn read(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut request = Self::default();
        for (name, value) in headers {
            match name {
                b":method" => request.method = value,
                b":path" => request.target = value,
                b":authority" => request.authority = value,
                b"authorization" => request.authorization.add(value),
                b"x-api-key" => request.api_key.add(value),
                b"origin" => request.origin.add(value),
                _ if is_delegation(name) => request.delegate.add(value),
                b"content-type" if is_grpc(value) => request.wire = Wire::Grpc,
                _ => request.note_if_spoofed(name),
            }
        }
        request
    }

    /// Whether there is anything in this header, which is one of those that can hold a credential.
    #[must_use]
    pub fn carries(&self, name: &str) -> bool {
        match name {
            "authorization" => self.authorization != Field::Absent,
            "x-api-key" => self.api_key != Field::Absent,
            // What is not known here may be there.
            _ => true,
        }
    }

    fn note_if_spoofed(&mut self, name: &'a [u8]) {
        if !is_identity_header(name) {
            return;
        }
        if let Ok(text) = std::str::from_utf8(name)
            && !self.spoofed.contains(&text)
        {
            self.spoofed.push(text);
        }
    }
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Absent => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// Whether this header says for which team an enterprise is to act, in any spelling that a server may take for it.
#[must_use]
pub fn is_delegation(name: &[u8]) -> bool {
    is_spelled(name, b"x-delegate-account-id")
}

/// Whether only the filter may set this header: `x-auth-…`, in any spelling that a server may take for it.
#[must_use]
pub fn is_identity_header(name: &[u8]) -> bool {
    const PREFIX: &[u8; 7] = b"x-auth-";
    name.split_at_checked(PREFIX.len()).is_some_and(|(prefix, _)| is_spelled(prefix, PREFIX))
}

/// Whether a header's name is `expected`, in any case, and with anything for a hyphen that is no letter and no digit.
/// Many servers make an underscore of a hyphen; PHP makes one of a dot as well, and servers of old of everything else.
fn is_spelled(name: &[u8], expected: &[u8]) -> bool {
    let same = |(byte, expected): (&u8, &u8)| {
        byte.eq_ignore_ascii_case(expected) || (*expected == b'-' && !byte.is_ascii_alphanumeric())
    };
    name.len() == expected.len() && name.iter().zip(expected).all(same)
}

/// `application/grpc` and its kin, as Envoy tells them (source/common/grpc/common.cc, `hasGrpcContentType`): what the
/// two tell apart differently would get a gRPC client's sentence as plain text.
fn is_grpc(content_type: &[u8]) -> bool {
    let Some(rest) = content_type.strip_prefix(b"application/grpc") else { return false };
    matches!(rest.first(), None | Some(b'+'))
}

#[cfg(test)]
mod tests {
    use super::{Field, Request, Wire, is_identity_header};

    fn read<'a>(headers: &[(&'a str, &'a str)]) -> Request<'a> {
        Request::read(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn a_header_that_stands_twice_is_noticed_even_with_the_same_value() {
        assert_eq!(read(&[("x-api-key", "a"), ("x-api-key", "a")]).api_key, Field::Repeated);
        assert_eq!(read(&[("x-api-key", "a")]).api_key, Field::Once(b"a"));
    }

    #[test]
    fn delegation_is_seen_in_every_spelling_that_an_upstream_could_read() {
        for name in ["x-delegate-account-id", "x_delegate_account_id", "x-delegate_account-id", "x.delegate.account.id"]
        {
            assert_eq!(read(&[(name, "acme")]).delegate, Field::Once(b"acme"), "{name}");
        }
        let both = read(&[("x-delegate-account-id", "a"), ("x_delegate_account_id", "b")]);
        assert_eq!(both.delegate, Field::Repeated);
        assert_eq!(read(&[("x-delegate-account-ids", "a")]).delegate, Field::Absent);
    }

    #[test]
    fn identity_headers_are_found_in_every_spelling() {
        for name in
            ["x-auth-team", "X-Auth-Team", "x_auth_team", "x-auth_status", "x.auth.team", "x~auth!team", "x-auth-"]
        {
            assert!(is_identity_header(name.as_bytes()), "{name}");
        }
        for name in ["x-auth", "x-author", "authorization", "x-authority", "y-auth-team", "xxauth-team", "x-auth0team"]
        {
            assert!(!is_identity_header(name.as_bytes()), "{name}");
        }
        assert_eq!(read(&[("x-auth-team", "a"), ("x-auth-team", "b"), ("x_auth_team", "c")]).spoofed.len(), 2);
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for good in ["application/grpc", "application/grpc+proto"] {
            assert_eq!(read(&[("content-type", good)]).wire, Wire::Grpc, "{good}");
        }
        for other in
            ["application/grpc-web", "application/json", "application/grpcx", "application/grpc; charset=utf-8"]
        {
            assert_eq!(read(&[("content-type", other)]).wire, Wire::Http, "{other}");
        }
    }

    #[test]
    fn values_may_be_any_bytes() {
        let request = Request::read([(b":path".as_slice(), b"/\xff".as_slice()), (b"authorization", b"\xfe")]);
        assert_eq!((request.target, request.authorization), (b"/\xff".as_slice(), Field::Once(b"\xfe")));
    }
}
