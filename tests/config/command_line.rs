//! `tollkeeper check-config` and `tollkeeper schema`, as an operator runs them.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tollkeeper::config::Config;

fn tollkeeper(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollkeeper"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have closed it already.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Runs `check-config -`, and gives its exit code, what it prints and what it complains of.
fn check(input: &str) -> (i32, String, String) {
    let output = tollkeeper(&["check-config", "-"], input.as_bytes());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_config_answers_for_each_file_and_exits_by_the_worst() {
    let good = "tests/config/good_smallest.json";
    let bad = "tests/config/quota_zero.json";
    let output = tollkeeper(&["check-config", good], b"");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{good}: good: 1 configuration(s)\n"));

    let output = tollkeeper(&["check-config", good, bad], b"");
    assert_eq!(output.status.code(), Some(1));
    let complaint = fs::read_to_string("tests/config/quota_zero.txt").unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{bad}: {complaint}"));

    let output = tollkeeper(&["check-config", "no/such/file", bad], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("no/such/file: cannot be read: "));
}

#[test]
fn check_config_finds_the_filter_in_an_envoy_file() {
    let envoy = r#"
static_resources:
  listeners:
  - filters:
    - config: &other
        name: somebody-elses
        vm_config: {code: {local: {filename: other.wasm}}}
        configuration: {"@type": type.googleapis.com/google.protobuf.StringValue, value: "anything"}
    - config:
        vm_config: {code: {local: {filename: /etc/envoy/tollkeeper.wasm}}}
        configuration:
          "@type": type.googleapis.com/google.protobuf.Struct
          value: {key_service: {cluster: keyservice}}
    - config:
        name: tollkeeper
        vm_config: {}
        configuration:
          "@type": type.googleapis.com/google.protobuf.StringValue
          value: |
            {"key_service": {"cluster": "keyservice"},
             "realm": 1, "realm": 2}
"#;
    let (code, _, errors) = check(envoy);
    assert_eq!(code, 1);
    assert_eq!(
        errors,
        "-: at static_resources.listeners[0].filters[1].config.configuration: @type: \
         Envoy hands a Struct to the filter in protobuf's binary form; use a google.protobuf.StringValue \
         with the settings as JSON\n\
         -: at static_resources.listeners[0].filters[2].config.configuration: realm: \
         is given more than once; keep one\n\
         -: at static_resources.listeners[0].filters[2].config.configuration: realm: \
         is a number; use 1 to 64 printable ASCII characters without \" and \\\n"
    );

    let mended = envoy.replace("1, \"realm\": 2", "\"x\"").replace("Struct", "StringValue");
    let mended =
        mended.replace("{key_service: {cluster: keyservice}}", r#"'{"key_service": {"cluster": "keyservice"}}'"#);
    assert_eq!(check(&mended), (0, "-: good: 2 configuration(s)\n".to_owned(), String::new()));
}

#[test]
fn check_config_finds_the_filter_in_kubernetes_objects() {
    let objects = r#"
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
spec:
  url: oci://registry.example.com/tollkeeper:1
  vmConfig: {env: [{name: TOLLKEEPER_NODE_TOKEN, valueFrom: HOST}]}
  pluginConfig: {key_service: {cluster: "outbound|80||keys"}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
spec:
  wasm:
  - {name: tollkeeper, code: {type: Image, image: {url: x}}, config: {key_service: {cluster: keys}}}
"#;
    let (code, _, errors) = check(objects);
    assert_eq!(code, 1);
    assert_eq!(
        errors,
        "-: at document 1.spec.pluginConfig: key_service.authority: is missing, \
         and the cluster's name is no host name; give it\n"
    );
}

#[test]
fn check_config_does_not_call_a_file_good_in_which_it_found_nothing() {
    for (text, says) in [
        ("static_resources: {}", "-: holds no configuration of tollkeeper"),
        ("apiVersion: v1\n---\nkind: Pod", "-: holds no configuration of tollkeeper"),
        ("", "-: configuration: is empty"),
        ("a: [", "-: is neither JSON nor YAML"),
        ("{\"key_service\": {},\n]", "-: line 2, column 1: cannot be read as JSON"),
        ("key_service: {}", "-: key_service.cluster: is missing"),
    ] {
        let (code, out, errors) = check(text);
        assert_eq!((code, out.as_str()), (1, ""), "{text}");
        assert!(errors.starts_with(says), "{text}: {errors}");
    }
}

type EditFilters<'a> = &'a dyn Fn(&mut Vec<Value>);

#[test]
fn an_envoy_that_would_let_in_whom_nobody_judged_is_not_called_good() {
    let edge: Value = serde_saphyr::from_str(include_str!("../../envoy/edge.yaml")).unwrap();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let edited = |edit: EditFilters<'_>| {
        let mut edge = edge.clone();
        edit(edge.pointer_mut(manager).unwrap()["http_filters"].as_array_mut().unwrap());
        check(&edge.to_string())
    };
    assert_eq!(edited(&|_| {}).0, 0);
    let place = "-: at static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters: ";
    let (code, _, errors) = edited(&|filters| drop(filters.remove(1)));
    assert_eq!(code, 1);
    assert!(errors.starts_with(&format!("{place}no filter behind tollkeeper refuses")), "{errors}");
    // What stands before it refuses everybody, what only tells of the verdict nobody, and so does what is not there.
    let log = json!({ "verdict": "%FILTER_STATE(wasm.tollkeeper.verdict:PLAIN)%" });
    let seeming: [EditFilters<'_>; 5] = [
        &|filters| filters.swap(0, 1),
        &|filters| filters[1]["disabled"] = true.into(),
        &|filters| filters[1]["typed_config"]["rules"]["action"] = "LOG".into(),
        &|filters| {
            let rules = filters[1]["typed_config"]["rules"].take();
            filters[1]["typed_config"]["shadow_rules"] = rules;
        },
        &|filters| {
            filters.remove(1);
            filters[1]["typed_config"]["upstream_log"] = log.clone();
        },
    ];
    for (index, edit) in seeming.into_iter().enumerate() {
        assert_eq!(edited(edit).0, 1, "{index}");
    }
    // Elsewhere configured, it is the same filter.
    let (code, _, errors) = edited(&|filters| {
        filters.remove(1);
        filters[0] = json!({ "name": "tollkeeper", "config_discovery": {} });
    });
    assert_eq!(code, 1);
    assert!(errors.starts_with(&format!("{place}no filter")), "{errors}");
    let (code, _, errors) = edited(&|filters| {
        let configuration = &mut filters[0]["typed_config"]["config"]["configuration"]["value"];
        *configuration = r#"{"key_service": {"cluster": "keyservice"}, "filter_state": "off"}"#.into();
    });
    assert_eq!(code, 1);
    assert!(errors.contains("\"off\" does not set: nobody would pass; write \"verdict\""), "{errors}");
}

#[test]
fn a_chain_for_upgrades_has_to_refuse_what_was_not_judged_as_well() {
    let mut edge: Value = serde_saphyr::from_str(include_str!("../../envoy/edge.yaml")).unwrap();
    let manager = edge.pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config").unwrap();
    let filters = manager["http_filters"].clone();
    manager["upgrade_configs"] = json!([{ "upgrade_type": "websocket", "filters": [filters[0], filters[2]] }]);
    let (code, _, errors) = check(&edge.to_string());
    assert_eq!(code, 1);
    assert!(errors.contains("typed_config.upgrade_configs[0].filters: no filter behind tollkeeper"), "{errors}");
}

#[test]
fn every_configuration_that_ships_refuses_what_was_not_judged_in_the_same_way() {
    let parts = |path: &str| -> Value {
        let file: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let manager = file.pointer("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config").unwrap();
        json!([manager["http_filters"][1], manager["local_reply_config"]])
    };
    let edge = parts("envoy/edge.yaml");
    assert_eq!(edge[0]["name"], "not_judged");
    for path in yaml_files("envoy/apis") {
        assert_eq!(parts(&path), edge, "{path}");
    }
    let bench: Value = serde_saphyr::from_str(include_str!("../../bench/filters/not_judged.yaml")).unwrap();
    assert_eq!(bench[0], edge[0]);
}

#[test]
fn schema_prints_the_schema_and_help_shows_examples() {
    let schema = tollkeeper(&["schema"], b"").stdout;
    assert_eq!(serde_json::from_slice::<Value>(&schema).unwrap(), Config::json_schema());
    let help = tollkeeper(&["check-config", "--help"], b"").stdout;
    assert!(String::from_utf8(help).unwrap().contains("tollkeeper check-config envoy/edge.yaml"));
}

#[test]
fn the_configurations_that_ship_are_good() {
    let files: Vec<_> = ["envoy", "envoy/apis"].into_iter().flat_map(yaml_files).collect();
    assert!(files.len() >= 6, "{files:?}");
    for path in files {
        let output = tollkeeper(&["check-config", &path], b"");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn each_published_api_needs_at_most_25_lines_of_configuration() {
    let files: Vec<_> = yaml_files("envoy/apis").collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for path in files {
        let file: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let filter = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0";
        let configuration = file.pointer(&format!("{filter}/typed_config/config/configuration/value")).unwrap();
        let lines = configuration.as_str().unwrap().lines().count();
        assert!(lines <= 25, "{path} has {lines} lines");
        let longest = configuration.as_str().unwrap().lines().map(str::len).max();
        assert!(longest <= Some(100), "{path} has a line of {longest:?} characters");
    }
}

/// The YAML files in a folder of the repository.
fn yaml_files(folder: &str) -> impl Iterator<Item = String> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let paths = files.map(|file| file.unwrap().path().to_str().unwrap().to_owned());
    paths.filter(|path| path.ends_with(".yaml"))
}
