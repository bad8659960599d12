//! The command line: what is asked, what is printed, and the exit code.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tollkeeper::config::Config;

use crate::envoy_file::{Found, configurations};

/// Checks configurations of the tollkeeper filter.
#[derive(Parser)]
#[command(name = "tollkeeper", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check filter configurations, and print every mistake with its place
    #[command(after_help = CHECK_CONFIG)]
    CheckConfig {
        /// JSON of the filter's own configuration, or an Envoy or Kubernetes file that holds it
        /// (YAML or JSON); `-` is the standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of the filter's configuration
    #[command(after_help = SCHEMA)]
    Schema,
}

const CHECK_CONFIG: &str = "\
In an Envoy or Kubernetes file, these are checked where they belong to tollkeeper:
  - the `configuration` of a Wasm plugin (a google.protobuf.StringValue of JSON)
  - the `pluginConfig` of an Istio WasmPlugin
  - the `config` of a `wasm` entry in an Envoy Gateway EnvoyExtensionPolicy
A plugin belongs to tollkeeper if its name, root id or code mentions tollkeeper, or its
configuration has a key_service. In a list of http_filters, a filter behind it must refuse
what it has not judged, as `not_judged` in envoy/edge.yaml does.

Exit codes: 0 all good, 1 mistakes, 2 a file cannot be read.

Examples:
  tollkeeper check-config envoy/edge.yaml
  tollkeeper check-config filter.json other.json
  kubectl get wasmplugin -A -o yaml | tollkeeper check-config -";

const SCHEMA: &str = "\
Example:
  tollkeeper schema > tollkeeper.schema.json";

/// How a file, or the whole run, came out; the worse the later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Good,
    Mistakes,
    Unreadable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

/// Does what the command line asks.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::CheckConfig { files } => check_all(&files),
        Command::Schema => print_schema(),
    };
    // Whoever closes the pipe has read enough.
    done.unwrap_or(Outcome::Unreadable).into()
}

fn print_schema() -> io::Result<Outcome> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &Config::json_schema())?;
    writeln!(out)?;
    Ok(Outcome::Good)
}

fn check_all(files: &[PathBuf]) -> io::Result<Outcome> {
    let mut worst = Outcome::Good;
    for file in files {
        worst = worst.max(check(file)?);
    }
    Ok(worst)
}

fn check(file: &Path) -> io::Result<Outcome> {
    let name = file.display();
    let mut errors = io::stderr().lock();
    let bytes = match read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            writeln!(errors, "{name}: cannot be read: {error}")?;
            return Ok(Outcome::Unreadable);
        }
    };
    let found = match configurations(bytes) {
        Ok(found) => found,
        Err(why) => {
            writeln!(errors, "{name}: {why}")?;
            return Ok(Outcome::Mistakes);
        }
    };
    let mut outcome = Outcome::Good;
    for Found { place, configuration } in &found {
        let at = if place.is_empty() { String::new() } else { format!("at {place}: ") };
        let parsed = configuration.as_deref().map(Config::parse);
        let lines = match parsed {
            Ok(Ok(_)) => continue,
            Ok(Err(mistakes)) => mistakes.lines().collect(),
            Err(why) => vec![why.clone()],
        };
        for line in lines {
            writeln!(errors, "{name}: {at}{line}")?;
        }
        outcome = Outcome::Mistakes;
    }
    if outcome == Outcome::Good {
        writeln!(io::stdout(), "{name}: good: {} configuration(s)", found.len())?;
    }
    Ok(outcome)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(file)
}
