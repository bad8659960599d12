//! Whether a chain of Envoy's HTTP filters refuses what tollkeeper has not judged: Envoy leaves a wasm filter out on a worker for
//! which it could not make a VM, whatever the failure policy is.

use serde_json::Value;
use tollkeeper::config::{Config, FilterState};

use crate::envoy_file::{Found, mentions, search};

const VERDICT: &str = "wasm.tollkeeper.verdict";

/// What is wrong with the chain, or with one of the chains, that the field `name` of a connection manager holds.
pub(crate) fn missing(name: &str, value: &Value, place: &str) -> Vec<Found> {
    let chains: Vec<_> = match (name, value) {
        ("http_filters" | "httpFilters", Value::Array(filters)) => vec![(place.to_owned(), filters)],
        // WebSocket and its kin may have a chain of their own.
        ("upgrade_configs" | "upgradeConfigs", Value::Array(upgrades)) => {
            let chains = upgrades.iter().enumerate().filter_map(|(index, upgrade)| {
                Some((format!("{place}[{index}].filters"), upgrade.get("filters")?.as_array()?))
            });
            chains.collect()
        }
        _ => return Vec::new(),
    };
    let wrong = chains.into_iter().filter_map(|(place, filters)| Some((place, mistake(filters)?)));
    wrong.map(|(place, why)| Found { place, configuration: Err(why) }).collect()
}

fn mistake(filters: &[Value]) -> Option<String> {
    let (index, is_silent) =
        filters.iter().enumerate().find_map(|(index, filter)| Some((index, is_silent(filter)?)))?;
    let is_guarded = filters.iter().skip(index + 1).any(guards);
    match (is_guarded, is_silent) {
        (true, true) => Some(format!(
            "the filter behind tollkeeper waits for the filter state {VERDICT}, which \"filter_state\": \"off\" does not \
             set: nobody would pass; write \"verdict\""
        )),
        (true, false) => None,
        (false, _) => Some(format!(
            "no filter behind tollkeeper refuses what it has not judged: where Envoy cannot make a VM for a worker, everybody \
             would be let in there; add `not_judged` of envoy/edge.yaml, which looks at the filter state {VERDICT}"
        )),
    }
}

/// Whether this filter sets no filter state, if it is tollkeeper.
fn is_silent(filter: &Value) -> Option<bool> {
    let mut found = Vec::new();
    search(filter, "", &mut found);
    let is_elsewhere = has(filter, "config_discovery", "configDiscovery") && mentions(&filter["name"], "tollkeeper");
    let is_off = |Found { configuration, .. }: &Found| {
        let parsed = configuration.as_deref().map(Config::parse);
        parsed.is_ok_and(|parsed| parsed.is_ok_and(|config| config.filter_state == FilterState::Off))
    };
    (is_elsewhere || !found.is_empty()).then(|| found.iter().any(is_off))
}

/// Whether it refuses by the verdict: an RBAC that is there, and whose rules are no trial.
fn guards(filter: &Value) -> bool {
    let config = [&filter["typed_config"], &filter["typedConfig"]].into_iter().find(|config| config.is_object());
    let is_rbac = |config: &&Value| config["@type"].as_str().is_some_and(|kind| kind.ends_with("http.rbac.v3.RBAC"));
    config.filter(is_rbac).is_some_and(|config| {
        let decides = |name| ["ALLOW", "DENY", ""].contains(&config[name]["action"].as_str().unwrap_or_default());
        let asks = ["rules", "matcher"].into_iter().any(|name| mentions(&config[name], VERDICT) && decides(name));
        asks && filter["disabled"] != true
    })
}

fn has(filter: &Value, name: &str, other: &str) -> bool {
    filter.get(name).or_else(|| filter.get(other)).is_some()
}
