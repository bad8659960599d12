//! Routes as they are written, and the mistakes that can be made between them.

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place},
    routes::{Access, Method, Methods, Protection, RequiredScopes, Route, Routes},
    setting::{Setting, settings, wrong_kind},
    template::Template,
    values::{ScopeList, Whole},
    vocabulary::{Forwarding, Shadow, Styles, Unmatched},
    words::{Set, words},
};

/// The most routes of one configuration.
const MOST: usize = 1000;

words! {
    AccessSetting, "a kind of access" {
        Authenticate = "authenticate",
        Public = "public",
    }
}

settings! {
    /// What the requests to some paths need. The first route that matches wins.
    RouteSettings {
        /// The path: literal segments, `{team}` for the key's team, `{name}` for any one segment, and a final `...` for zero or more further segments.
        path: Template,
        /// The methods that the route is for; all if not given.
        methods: Option<Set<Method>>,
        /// `authenticate`: a key is needed. `public`: nothing is.
        access: AccessSetting = "authenticate",
        /// How the key may be presented; as for the whole configuration if not given.
        styles: Option<Styles>,
        /// The scopes that the key must have, all of them for every method. If not given: `read` for GET, HEAD and OPTIONS, `write` for all else.
        scopes: Option<ScopeList>,
        /// Whether the upstream sees the key; as for the whole configuration if not given.
        forward_credential: Option<Forwarding>,
        /// How many tokens of the bucket a request takes; 0 for none.
        cost: Whole<0, 1_000_000> = 1,
        /// Which refusals are only told, while the request goes on to the upstream; as for the whole configuration if not given.
        shadow: Option<Shadow>,
    }
}

impl RouteSettings {
    fn methods(&self) -> Methods {
        self.methods.map_or(Methods::All, Methods::Only)
    }

    fn with_defaults(self, default: &Protection) -> Route {
        let methods = self.methods();
        let access = match self.access {
            AccessSetting::Public => Access::Public,
            AccessSetting::Authenticate => Access::Protected(Protection {
                styles: self.styles.unwrap_or(default.styles),
                scopes: RequiredScopes(self.scopes),
                forwarding: self.forward_credential.unwrap_or(default.forwarding),
                cost: self.cost.get(),
                shadow: self.shadow.unwrap_or(default.shadow),
            }),
        };
        Route { template: self.path, methods, access }
    }
}

/// The routes as they are written.
pub(super) struct RouteList(Vec<RouteSettings>);

impl RouteList {
    /// The routes, each with the defaults of the whole configuration.
    pub(super) fn with_defaults(self, default: Protection, unmatched: Unmatched) -> Routes {
        let routes = self.0.into_iter().map(|route| route.with_defaults(&default)).collect();
        let unmatched = match unmatched {
            Unmatched::Refuse => None,
            Unmatched::Authenticate => Some(Access::Protected(default)),
        };
        Routes { routes, unmatched }
    }
}

impl Setting for RouteList {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let Json::List(items) = json else {
            return Err(wrong_kind(json, "a list", place, mistakes));
        };
        if items.len() > MOST {
            let what = format_args!("lists {} routes; use at most {MOST}", items.len());
            return Err(mistakes.note(place, what));
        }
        let mut readable = Vec::new();
        let mut refused = None;
        for (index, item) in items.iter().enumerate() {
            match read_route(item, &place.item(index), mistakes) {
                Ok(route) => readable.push((index, route)),
                Err(noted) => refused = Some(noted),
            }
        }
        note_unreachable(&readable, place, mistakes);
        let routes = readable.into_iter().map(|(_, route)| route).collect();
        refused.map_or(Ok(Self(routes)), Err)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        let mut route = RouteSettings::schema();
        if let serde_json::Value::Object(route) = &mut route {
            let access = serde_json::json!({ "access": { "const": "public" } });
            let nothing: serde_json::Value = PROTECTION.iter().map(|name| ((*name).to_owned(), false)).collect();
            let public = serde_json::json!({ "properties": access, "required": ["access"] });
            route.insert("if".to_owned(), public);
            route.insert("then".to_owned(), serde_json::json!({ "properties": nothing }));
        }
        serde_json::json!({ "type": "array", "items": route, "maxItems": MOST })
    }
}

/// The fields that mean something only where a credential is needed.
const PROTECTION: [&str; 5] = ["styles", "scopes", "forward_credential", "cost", "shadow"];

fn read_route(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<RouteSettings, Noted> {
    let route = RouteSettings::read(json, place, mistakes);
    note_meaningless(json, place, mistakes);
    let route = route?;
    if route.access == AccessSetting::Public && route.path.has_team() {
        let what =
            "{team} means nothing on a public route, which sees no key; use {name}, or remove the access \"public\"";
        return Err(mistakes.note(&place.field("path"), what));
    }
    Ok(route)
}

/// Notes what a public route says about credentials and quotas, whatever else is wrong with the route.
fn note_meaningless(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) {
    let Json::Object(given) = json else { return };
    let public = ("access".to_owned(), Json::from("public"));
    if !given.contains(&public) {
        return;
    }
    let what = "means nothing on a public route; remove it, or the access \"public\"";
    for (name, _) in given {
        if PROTECTION.contains(&name.as_str()) {
            mistakes.note(&place.field(name), what);
        }
    }
}

/// Notes that a configuration whose routes part the teams does not say what becomes of the other requests, whatever
/// else is wrong with it: a key of any team would open every path and method that the routes forgot.
pub(super) fn note_unmatched(configuration: &Json, mistakes: &mut Mistakes) {
    if configuration.field("unmatched").is_some() {
        return;
    }
    let Some(Json::List(routes)) = configuration.field("routes") else { return };
    let Some(index) = routes.iter().position(names_team) else { return };
    let what = format_args!(
        "must be given, because routes[{index}].path names {{team}}: \"refuse\", \
         or \"authenticate\" if a key of any team may open what no route matches"
    );
    mistakes.note(&Place::Whole.field("unmatched"), what);
}

fn names_team(route: &Json) -> bool {
    matches!(route.field("path"), Some(Json::Text(path)) if path.split('/').any(|segment| segment == "{team}"))
}

/// Adds to the schema of the whole configuration what [`note_unmatched`] notes.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn with_unmatched(mut schema: serde_json::Value) -> serde_json::Value {
    let path = serde_json::json!({ "type": "string", "pattern": r"/\{team\}(/|$)" });
    let route = serde_json::json!({ "type": "object", "properties": { "path": path }, "required": ["path"] });
    let routes = serde_json::json!({ "type": "array", "contains": route });
    if let serde_json::Value::Object(schema) = &mut schema {
        let parted = serde_json::json!({ "properties": { "routes": routes }, "required": ["routes"] });
        schema.insert("if".to_owned(), parted);
        schema.insert("then".to_owned(), serde_json::json!({ "required": ["unmatched"] }));
    }
    schema
}

/// Notes each route that is left no request by those before it.
fn note_unreachable(routes: &[(usize, RouteSettings)], place: &Place<'_>, mistakes: &mut Mistakes) {
    for (position, (index, route)) in routes.iter().enumerate() {
        let mut left = Some(route.methods());
        let mut takers = Vec::new();
        for (earlier_index, earlier) in routes.iter().take(position) {
            let Some(methods) = left else { break };
            if earlier.path.covers(&route.path) {
                left = methods.without(earlier.methods());
                if left != Some(methods) {
                    takers.push(place.item(*earlier_index).to_string());
                }
            }
        }
        if left.is_none() {
            let takers = takers.join(" and ");
            let what =
                format_args!("can never match, because all its requests go to {takers}; move it up or remove it");
            mistakes.note(&place.item(*index), what);
        }
    }
}
