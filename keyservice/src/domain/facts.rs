//! What the audit log tells about a thing: its fields by their names, and never a secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tollkeeper_contract::{EnterpriseId, Origin, Quota, TeamId};

use super::{Enterprise, Key, Name, Reason, ServiceAccount, Team, Thing, User, word};

/// The fields of a thing, as the admin API shows them; without what nodes count.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts(BTreeMap<&'static str, Value>);

/// What can be told about.
pub trait Told {
    /// What sort of thing it is.
    const THING: Thing;

    /// Its id.
    fn id(&self) -> &str;

    /// The team that it belongs to.
    fn of_team(&self) -> Option<&str>;

    /// The enterprise that it belongs to.
    fn of_enterprise(&self) -> Option<&str>;

    /// All that may be told.
    fn facts(&self) -> Facts;
}

impl Facts {
    /// Adds a field, or replaces it.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(field, value.into());
        self
    }

    /// What was made, changed or lost from `before` to `after`, as `{"field": {"old": …, "new": …}}`.
    ///
    /// A thing that was made has no `old`, and one that is gone no `new`; fields without a value are left out then.
    #[must_use]
    pub fn difference(before: Option<&Self>, after: Option<&Self>) -> Map<String, Value> {
        let nothing = Self::default();
        let (old, new) = (before.unwrap_or(&nothing), after.unwrap_or(&nothing));
        let fields = old.0.keys().chain(new.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let changed = fields.into_iter().filter(|field| old.value(field) != new.value(field));
        let mut detail = Map::new();
        for field in changed {
            let mut change = Map::new();
            change.extend(before.map(|facts| ("old".to_owned(), facts.value(field).clone())));
            change.extend(after.map(|facts| ("new".to_owned(), facts.value(field).clone())));
            detail.insert((*field).to_owned(), Value::Object(change));
        }
        detail
    }

    fn value(&self, field: &str) -> &Value {
        self.0.get(field).unwrap_or(&Value::Null)
    }
}

impl Told for Enterprise {
    const THING: Thing = Thing::Enterprise;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn of_team(&self) -> Option<&str> {
        None
    }

    fn of_enterprise(&self) -> Option<&str> {
        Some(self.id.as_str())
    }

    fn facts(&self) -> Facts {
        Facts::default()
            .with("name", self.name.as_str())
            .with("state", word::of_tenant_state(self.state))
            .with("quota", quota(self.quota))
    }
}

impl Told for Team {
    const THING: Thing = Thing::Team;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn of_team(&self) -> Option<&str> {
        Some(self.id.as_str())
    }

    fn of_enterprise(&self) -> Option<&str> {
        self.enterprise.as_ref().map(EnterpriseId::as_str)
    }

    fn facts(&self) -> Facts {
        Facts::default()
            .with("name", self.name.as_str())
            .with("state", word::of_tenant_state(self.state))
            .with("quota", quota(self.quota))
            .with("enterprise", text(self.enterprise.as_ref()))
            .with("hosts", self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>())
            .with("revoke_sessions", self.revoke_sessions)
    }
}

impl Told for User {
    const THING: Thing = Thing::User;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn of_team(&self) -> Option<&str> {
        Some(self.team.as_str())
    }

    fn of_enterprise(&self) -> Option<&str> {
        None
    }

    fn facts(&self) -> Facts {
        Facts::default()
            .with("team", self.team.as_str())
            .with("name", self.name.as_str())
            .with("state", word::of_tenant_state(self.state))
            .with("permissions", self.permissions.iter().collect::<Vec<_>>())
            .with("has_password", self.has_password)
    }
}

impl Told for ServiceAccount {
    const THING: Thing = Thing::ServiceAccount;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn of_team(&self) -> Option<&str> {
        self.owner.team().map(TeamId::as_str)
    }

    fn of_enterprise(&self) -> Option<&str> {
        self.owner.enterprise().map(EnterpriseId::as_str)
    }

    fn facts(&self) -> Facts {
        Facts::default()
            .with("team", text(self.owner.team()))
            .with("enterprise", text(self.owner.enterprise()))
            .with("name", self.name.as_str())
    }
}

impl Told for Key {
    const THING: Thing = Thing::Key;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn of_team(&self) -> Option<&str> {
        self.holder.team().map(TeamId::as_str)
    }

    fn of_enterprise(&self) -> Option<&str> {
        self.holder.enterprise().map(EnterpriseId::as_str)
    }

    fn facts(&self) -> Facts {
        Facts::default()
            .with("kind", self.holder.kind().as_str())
            .with("team", text(self.holder.team()))
            .with("enterprise", text(self.holder.enterprise()))
            .with("service_account", text(self.holder.account()))
            .with("user", text(self.holder.user()))
            .with("name", text(self.name.as_ref().map(Name::as_str)))
            .with("subject", text(self.holder.subject()))
            .with("scopes", self.scopes.iter().collect::<Vec<_>>())
            .with("state", word::of_key_state(self.state))
            .with("not_before", text(self.not_before))
            .with("expires", text(self.expires))
            .with("origin", text(self.origin.as_ref().map(Origin::as_str)))
            .with("revoke_reason", text(self.revoke_reason.as_ref().map(Reason::as_str)))
            .with("compromised", self.compromised)
            .with("superseded_by", text(self.superseded_by.as_ref()))
    }
}

fn text<T: ToString>(value: Option<T>) -> Value {
    value.map_or(Value::Null, |value| value.to_string().into())
}

fn quota(quota: Option<Quota>) -> Value {
    let shown = |quota: Quota| json!({ "limit": quota.limit().get(), "window_seconds": quota.window().get() });
    quota.map_or(Value::Null, shown)
}

#[cfg(test)]
mod tests {
    use super::Facts;
    use serde_json::{Value, json};

    #[test]
    fn a_change_tells_what_changed_and_nothing_else() {
        let before = Facts::default().with("name", "a").with("state", "active").with("quota", Value::Null);
        let after = before.clone().with("name", "b").with("quota", 5);
        let expected = json!({ "name": { "old": "a", "new": "b" }, "quota": { "old": null, "new": 5 } });
        assert_eq!(Value::Object(Facts::difference(Some(&before), Some(&after))), expected);
        assert!(Facts::difference(Some(&before), Some(&before)).is_empty());
    }

    #[test]
    fn what_was_made_has_nothing_old_and_what_is_gone_nothing_new() {
        let facts = Facts::default().with("name", "a").with("quota", Value::Null);
        assert_eq!(Value::Object(Facts::difference(None, Some(&facts))), json!({ "name": { "new": "a" } }));
        assert_eq!(Value::Object(Facts::difference(Some(&facts), None)), json!({ "name": { "old": "a" } }));
    }
}
