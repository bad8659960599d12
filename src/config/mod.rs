//! What users write, read strictly into what the filter's rooms need; all mistakes at once.
//!
//! * [`Config::parse`]: the only way in
//! * `json`: the text as a tree; `setting`: how an object is defined and read; `schema`: its description
//! * `values`, `words`, `vocabulary`, `template_text`, `route_list`: what stands in it
//! * `key_service`, `quota`, `tokens`, `template`, `routes`: what comes out
//! * `mistakes`: what is wrong, where, and what to do

mod json;
mod key_service;
mod mistakes;
mod quota;
mod route_list;
mod routes;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod setting;
mod template;
mod template_text;
mod tokens;
mod values;
mod vocabulary;
mod words;

pub use key_service::KeyService;
pub use mistakes::Mistakes;
pub use quota::{FleetQuotas, Quotas};
pub use routes::{Access, Matched, Protection, RequiredScopes, Routes};
pub use tokens::Tokens;
pub use values::{Authority, Cluster, EnvName, Instance, Party, Realm};
pub use vocabulary::{
    AuthHeader, AuthHeaders, Fallback, FilterState, Forwarding, Promise, RateLimitHeaders, Remaining, Shadow, Style,
    Styles,
};

use json::Json;
use mistakes::Place;
use route_list::RouteList;
use setting::{Setting, settings};
use vocabulary::Unmatched;

/// A configuration without a mistake.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names all shared data of this installation.
    pub instance: Instance,
    /// Where the keys come from.
    pub key_service: KeyService,
    /// The realm of the challenges.
    pub realm: Realm,
    /// Which bearer tokens are taken.
    pub tokens: Tokens,
    /// What holds for a team that has no quota of its own, and over what quotas hold.
    pub quotas: Quotas,
    /// How answers say what is left of the quota.
    pub rate_limit_headers: RateLimitHeaders,
    /// What the client is told about itself.
    pub response_headers: AuthHeaders,
    /// What the upstream is told about the client.
    pub request_headers: AuthHeaders,
    /// Whether other filters and access logs are told what was decided.
    pub filter_state: FilterState,
    /// Which requests need what.
    pub routes: Routes,
}

settings! {
    /// The configuration of the tollkeeper filter.
    Settings {
        /// Names all data that is shared in one Envoy; filters with the same name share keys and quotas.
        instance: Instance = "default",
        /// The key service, from which the keys come.
        key_service: KeyService,
        /// The realm that the challenges of a 401 name.
        realm: Realm = "tollkeeper",
        /// How a key may be presented: `Authorization: <key>`, `Authorization: Token <key>`, `Authorization: Bearer <key>`, `x-api-key: <key>`.
        styles: Styles = ["raw", "token", "bearer", "x-api-key"],
        /// Whether the upstream sees the key.
        forward_credential: Forwarding = false,
        /// Which bearer tokens of the key service's login are taken.
        tokens: Tokens = Json::Object(Vec::new()),
        /// The quota of a team that has none of its own, and what quotas promise.
        quota: Quotas = Json::numbers([("limit", 300), ("window_seconds", 300)]),
        /// How answers say what is left of the quota. `draft`: `RateLimit` and `RateLimit-Policy`, as the current IETF draft has them. `legacy`: `X-RateLimit-Limit`, `-Remaining` and `-Reset`. `off`: not at all.
        rate_limit_headers: RateLimitHeaders = "draft",
        /// What the client is told about itself: `all`, `off`, or a list of headers.
        response_headers: AuthHeaders = "all",
        /// What the upstream is told about the client: `all`, `off`, or a list of headers.
        request_headers: AuthHeaders = [
            "x-auth-team", "x-auth-enterprise", "x-auth-delegated-team", "x-auth-key-id", "x-auth-scopes",
        ],
        /// Whether other filters and access logs are told what was decided, as filter state `wasm.tollkeeper.…`: `all`, `verdict` alone, or `off`. Each of its five texts costs a request about as much as a header.
        filter_state: FilterState = "all",
        /// Which refusals are only told, while the request goes on to the upstream. `off`: none. `quota`: those about the quota. `everything`: all, also without a good credential.
        shadow: Shadow = "off",
        /// What happens where no route matches. `authenticate`: a key is needed, of whatever team. `refuse`: nothing passes. Must be given as soon as a route's path names `{team}`.
        unmatched: Unmatched = "authenticate",
        /// What the requests to some paths need; the first route that matches wins.
        routes: RouteList = [],
    }
}

impl Config {
    /// Reads the configuration that Envoy hands over, JSON.
    ///
    /// # Errors
    /// Every mistake in it, each with its place.
    pub fn parse(bytes: &[u8]) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::none();
        let read = Json::parse(bytes, &mut mistakes).and_then(|json| {
            let settings = Settings::read(&json, &Place::Whole, &mut mistakes);
            route_list::note_unmatched(&json, &mut mistakes);
            settings
        });
        mistakes.settle(read).map(Self::from)
    }

    /// The JSON Schema (draft 2020-12) of what [`Config::parse`] takes, as far as a schema can say it.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schema::document(route_list::with_unmatched(Settings::schema()))
    }
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        let Settings { styles, forward_credential: forwarding, shadow, unmatched, routes, .. } = settings;
        let default = Protection { styles, scopes: RequiredScopes::by_method(), forwarding, cost: 1, shadow };
        Self {
            instance: settings.instance,
            key_service: settings.key_service,
            realm: settings.realm,
            tokens: settings.tokens,
            quotas: settings.quota,
            rate_limit_headers: settings.rate_limit_headers,
            response_headers: settings.response_headers,
            request_headers: settings.request_headers,
            filter_state: settings.filter_state,
            routes: routes.with_defaults(default, unmatched),
        }
    }
}
