//! What `lab run` says: progress to standard error, and what the user came for to standard output.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its terminal")]

use crate::run::Places;
use crate::run::api::{Api, requests};
use crate::run::demo::{DemoKey, DemoKeys};
use crate::run::state::State;

pub(crate) fn progress(step: &str) {
    eprintln!("==> {step}");
}

pub(crate) fn stopping() {
    // The terminal has just written "^C".
    eprintln!();
    progress("Stopping");
}

pub(crate) fn ready(places: &Places, api: Option<Api>, state: &State, keys: &DemoKeys) {
    let DemoKeys { first, second } = keys;
    println!();
    println!("tollkeeper is ready.");
    println!();
    println!("  listener     http://{}", places.listener);
    println!("  Envoy admin  http://{}", places.admin);
    println!("  key service  http://{}", places.key_service);
    println!("  data, logs   {}", state.directory.display());
    println!();
    println!("Demo keys:");
    println!();
    print_key(first);
    print_key(second);
    println!();
    println!("One request in each style:");
    println!();
    for request in requests(api, &format!("http://{}", places.listener), first) {
        println!("  {request}");
    }
    println!();
    println!("Who came and why, as it happens:  tail -f {}", state.access_log().display());
    println!("Ctrl-C stops everything; the data stays for the next run.");
}

fn print_key(key: &DemoKey) {
    println!("  {:<8} {:<12} {}", key.team, key.scopes.join(" "), key.key);
}
