//! What holds for every configuration and every path.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use tollkeeper::config::Config;

use crate::{config, messages};

/// What a template means, said in the simplest way.
fn naive(template: &str, path: &str) -> Option<Option<String>> {
    if !path.starts_with('/') {
        return None;
    }
    let (fixed, open) = match template.strip_suffix("/...") {
        Some(fixed) => (fixed, true),
        None => (template, false),
    };
    let wanted: Vec<&str> = fixed.split('/').collect();
    let given: Vec<&str> = path.split('/').collect();
    if given.len() < wanted.len() || (!open && given.len() > wanted.len()) {
        return None;
    }
    let mut team = None;
    for (wanted, given) in wanted.iter().zip(&given) {
        match *wanted {
            "{team}" if !given.is_empty() => team = Some((*given).to_owned()),
            "{x}" if !given.is_empty() => {}
            literal if literal == *given => {}
            _ => return None,
        }
    }
    Some(team)
}

fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof!["a|b|ab|A", Just("{x}".to_owned()), Just("{team}".to_owned())];
    (vec(segment, 0..4), prop_oneof![Just(""), Just("/"), Just("/...")]).prop_filter_map(
        "a template has a path and no parameter twice",
        |(segments, end)| {
            let text: String = segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + end;
            let once = |name| text.matches(name).count() < 2;
            (!text.is_empty() && once("{x}") && once("{team}")).then_some(text)
        },
    )
}

fn path() -> impl Strategy<Value = String> {
    vec("|a|b|ab|A|\\.\\.\\.", 0..6).prop_map(|segments| segments.iter().map(|segment| format!("/{segment}")).collect())
}

/// JSON that looks like a configuration often enough to reach every reader.
fn document() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("key_service"),
        Just("cluster"),
        Just("authority"),
        Just("poll_seconds"),
        Just("quota"),
        Just("limit"),
        Just("window_seconds"),
        Just("styles"),
        Just("routes"),
        Just("path"),
        Just("methods"),
        Just("access"),
        Just("unmatched"),
        Just("scopes"),
        Just("response_headers"),
        Just("instance"),
        Just("other"),
    ];
    let text = prop_oneof![
        Just("raw".to_owned()),
        Just("GET".to_owned()),
        Just("public".to_owned()),
        Just("off".to_owned()),
        template(),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..400_u32).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        let fields = vec((name.clone(), inner.clone()), 0..8);
        prop_oneof![
            vec(inner, 0..5).prop_map(Value::from),
            fields.prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_template_means_what_the_simplest_reading_says(template in template(), path in path()) {
        let config = config(&json!({
            "key_service": { "cluster": "k" }, "unmatched": "refuse", "routes": [{ "path": template }],
        }));
        let found = config.routes.find(b"GET", path.as_bytes());
        let team = found.map(|matched| matched.team.map(|team| String::from_utf8(team.to_vec()).unwrap()));
        prop_assert_eq!(team, naive(&template, &path));
    }

    #[test]
    fn any_bytes_are_matched_without_a_panic(template in template(), path in vec(any::<u8>(), 0..40)) {
        let config = config(&json!({
            "key_service": { "cluster": "k" }, "unmatched": "authenticate", "routes": [{ "path": template }],
        }));
        let team = config.routes.find(b"\xff", &path).unwrap().team;
        prop_assert!(team.is_none_or(|team| !team.is_empty() && !team.contains(&b'/')));
    }

    #[test]
    fn a_route_is_called_unreachable_only_if_no_path_reaches_it(
        first in template(), second in template(), path in path(),
    ) {
        let both = json!({
            "key_service": { "cluster": "k" }, "unmatched": "refuse", "routes": [{ "path": first }, { "path": second }],
        });
        if messages(both.to_string().as_bytes()).contains("routes[1]: can never match") {
            prop_assert!(naive(&second, &path).is_none() || naive(&first, &path).is_some());
        }
    }

    #[test]
    fn any_json_is_read_or_refused_with_a_message(document in document()) {
        if let Err(mistakes) = Config::parse(document.to_string().as_bytes()) {
            prop_assert!(mistakes.lines().next().is_some());
            prop_assert!(mistakes.lines().all(|line| !line.contains(char::is_control)), "{}", mistakes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_with_a_message(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Config::parse(&bytes).is_err_and(|mistakes| mistakes.lines().next().is_some()));
    }
}
