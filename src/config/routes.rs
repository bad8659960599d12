//! Routes: which requests need what.

use tollkeeper_contract::Scope;

use super::{
    template::Template,
    values::ScopeList,
    vocabulary::{Forwarding, Shadow, Styles},
    words::{Set, words},
};

/// Every route, in order, and what holds where none matches.
#[derive(Debug, Clone)]
pub struct Routes {
    pub(super) routes: Box<[Route]>,
    pub(super) unmatched: Option<Access>,
}

/// Which requests, and what they need.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) template: Template,
    pub(super) methods: Methods,
    pub(super) access: Access,
}

/// What a request needs.
#[derive(Debug, Clone)]
pub enum Access {
    /// Nothing at all.
    Public,
    /// A credential.
    Protected(Protection),
}

/// Which credential is needed, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Protection {
    /// How it may be presented.
    pub styles: Styles,
    /// The scopes that its key must have.
    pub scopes: RequiredScopes,
    /// Whether the upstream sees it.
    pub forwarding: Forwarding,
    /// How many tokens of the bucket a request takes.
    pub cost: u32,
    /// Which refusals are only told.
    pub shadow: Shadow,
}

/// The scopes that a key must have, all of them.
#[derive(Debug, Clone)]
pub struct RequiredScopes(pub(super) Option<ScopeList>);

/// A request that may go on, on the terms of a route.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// What the request needs.
    pub access: &'a Access,
    /// The team that the path names, if the route has a place for one; never empty.
    pub team: Option<&'a [u8]>,
}

impl Routes {
    /// The first route for this method and path, without its query; `None`: refuse the request.
    ///
    /// The path is compared as it is, so the caller has refused those with a second spelling.
    #[must_use]
    pub fn find<'a>(&'a self, method: &[u8], path: &'a [u8]) -> Option<Matched<'a>> {
        let method = Method::ALL.iter().find(|known| known.as_str().as_bytes() == method).copied();
        let mut routes = self.routes.iter().filter(|route| route.methods.contain(method));
        let matched = routes.find_map(|route| {
            let team = route.template.fit(path)?.team;
            Some(Matched { access: &route.access, team })
        });
        let unmatched = self.unmatched.as_ref();
        matched.or_else(|| unmatched.map(|access| Matched { access, team: None }))
    }
}

impl RequiredScopes {
    /// `read` or `write`, by the method.
    #[must_use]
    pub fn by_method() -> Self {
        Self(None)
    }

    /// These, whatever the method.
    #[must_use]
    pub fn always(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(Some(ScopeList(scopes.into_iter().collect())))
    }

    /// The scopes that a request with this method needs.
    pub fn for_method(&self, method: &[u8]) -> impl Iterator<Item = &str> {
        let (listed, implied) = match &self.0 {
            Some(ScopeList(scopes)) => (scopes.as_ref(), None),
            None => (&[][..], Some(implied(method))),
        };
        listed.iter().map(Scope::as_str).chain(implied)
    }
}

/// The right to read suffices for the methods that change nothing (RFC 9110 section 9.2.1).
fn implied(method: &[u8]) -> &'static str {
    match method {
        b"GET" | b"HEAD" | b"OPTIONS" => "read",
        _ => "write",
    }
}

words! {
    pub(super) Method, "an HTTP method that this filter knows" {
        Get = "GET",
        Head = "HEAD",
        Post = "POST",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Options = "OPTIONS",
        Connect = "CONNECT",
        Trace = "TRACE",
    }
}

/// The methods that a route is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Methods {
    All,
    Only(Set<Method>),
}

impl Methods {
    /// Whether this method, `None` if it is an unknown one, is among them.
    fn contain(self, method: Option<Method>) -> bool {
        match self {
            Self::All => true,
            Self::Only(set) => method.is_some_and(|method| set.contains(method)),
        }
    }

    /// What is left when the other's methods are gone; `None`: nothing.
    pub(super) fn without(self, other: Self) -> Option<Self> {
        match (self, other) {
            (_, Self::All) => None,
            // Methods that nobody listed are left.
            (Self::All, Self::Only(_)) => Some(Self::All),
            (Self::Only(mine), Self::Only(theirs)) => {
                Some(mine.without(theirs)).filter(|left| !left.is_empty()).map(Self::Only)
            }
        }
    }
}
