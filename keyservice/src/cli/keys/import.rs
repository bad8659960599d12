//! `keyservice keys import`.

mod lines;
mod progress;

use std::{io::Read, path::PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::export::Format;
use crate::{
    api::wire::ImportView,
    cli::{
        CommandError, Target,
        client::{CallError, Client, view},
        output::{self, Output},
        target::{Wait, Waited},
    },
};
use lines::Line;
use progress::Progress;

/// How many keys go into one request.
const BATCH: usize = 1000;

/// How many duplicates are listed; the rest is counted.
const LISTED: usize = 1000;

/// How many of them if they were expected.
const LISTED_IF_EXPECTED: usize = 10;

#[derive(Args)]
pub(crate) struct Import {
    /// The file: `.jsonl`, `.ndjson` or `.csv`; `-` is standard input.
    file: PathBuf,
    /// How lines look [default: by the end of the file's name].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Keys that are there already are no failure.
    #[arg(long)]
    skip_duplicates: bool,
    #[command(flatten)]
    wait: Wait,
}

/// A key that was not imported, and where it stands.
struct Duplicate {
    line: u64,
    digest: String,
    reason: String,
}

#[derive(Default)]
struct Outcome {
    imported: u64,
    duplicates: Vec<Duplicate>,
    /// Of the last batch: whoever serves it serves those before as well.
    waited: Waited,
}

pub(super) async fn run(args: Import, target: &Target) -> Result<(), CommandError> {
    let format = format(&args)?;
    let text = read(&args)?;
    let client = target.client()?;
    let lines = lines::read(format, &text)?;
    let mut progress = Progress::new(lines.len(), target.output());
    let mut outcome = Outcome::default();
    let batches = lines.chunks(BATCH);
    let last = batches.len();
    for (index, batch) in batches.enumerate() {
        // Changes are served in their order, so only the last one is waited for.
        let wait = if index + 1 == last { args.wait } else { Wait::default() };
        if let Err(error) = import(&client, batch, wait, &mut outcome).await {
            progress.end();
            return Err(broken_off(error, outcome.imported));
        }
        progress.add(batch.len());
    }
    progress.end();
    write(target, &outcome, if args.skip_duplicates { LISTED_IF_EXPECTED } else { LISTED })?;
    outcome.waited.outcome()?;
    if outcome.duplicates.is_empty() || args.skip_duplicates {
        return Ok(());
    }
    let detail = format!(
        "{} keys are there already and were left as they are; with --skip-duplicates that is no failure",
        outcome.duplicates.len()
    );
    Err(CommandError::Incomplete { reason: "duplicates", detail })
}

async fn import(client: &Client, batch: &[Line], wait: Wait, outcome: &mut Outcome) -> Result<(), CommandError> {
    let keys: Vec<_> = batch.iter().map(|line| &line.key).collect();
    let sent = wait.send(client, Method::POST, "/v1/keys/import", Some(&json!({ "keys": keys }))).await;
    let (answer, waited) = sent.map_err(|error| with_line(error, batch))?;
    let view: ImportView = view(answer)?;
    outcome.imported += view.imported;
    outcome.waited = waited;
    for duplicate in view.duplicates {
        let line = usize::try_from(duplicate.index).ok().and_then(|index| batch.get(index));
        let line = line.map_or(0, |line| line.number);
        outcome.duplicates.push(Duplicate { line, digest: duplicate.digest, reason: duplicate.reason });
    }
    Ok(())
}

/// Names the line where the service names the place in the request.
fn with_line(error: CommandError, batch: &[Line]) -> CommandError {
    let CommandError::Call(CallError::Refused { mut problem, advice }) = error else { return error };
    let place = problem.field.as_deref().and_then(|field| field.strip_prefix("keys[")?.split(']').next()?.parse().ok());
    if let Some(line) = place.and_then(|index: usize| batch.get(index)) {
        problem.detail = format!("line {}: {}", line.number, problem.detail);
    }
    CommandError::Call(CallError::Refused { problem, advice })
}

/// What is imported before an error, and how to go on: an answer that did not come may be that to a batch that is there.
fn broken_off(error: CommandError, imported: u64) -> CommandError {
    let CommandError::Call(error) = error else { return error };
    if imported == 0 {
        return error.into();
    }
    let so_far = match error {
        CallError::Refused { .. } => format!("{imported} keys before are imported; mend it and"),
        CallError::BadUrl { .. }
        | CallError::Tls(_)
        | CallError::NoTls(_)
        | CallError::Unreachable { .. }
        | CallError::Foreign { .. } => {
            format!("{imported} keys are imported, and perhaps those that were sent last;")
        }
    };
    CommandError::BrokenOff { error, how_to_go_on: format!("{so_far} start again with --skip-duplicates") }
}

fn format(args: &Import) -> Result<Format, CommandError> {
    let by_name = || match args.file.extension()?.to_str()? {
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "csv" => Some(Format::Csv),
        _ => None,
    };
    args.format.or_else(by_name).ok_or_else(|| {
        CommandError::Usage("the file's name ends in neither .jsonl nor .csv; say --format jsonl or csv".to_owned())
    })
}

fn read(args: &Import) -> Result<String, CommandError> {
    let told = |error| CommandError::Usage(format!("cannot read {}: {error}", args.file.display()));
    let bytes = if args.file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(told)?;
        bytes
    } else {
        std::fs::read(&args.file).map_err(told)?
    };
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        CommandError::Usage(format!("line {} is not UTF-8", before.filter(|byte| **byte == b'\n').count() + 1))
    })
}

fn write(target: &Target, outcome: &Outcome, most: usize) -> Result<(), CommandError> {
    let count = outcome.duplicates.len();
    let listed = outcome.duplicates.iter().take(most);
    match target.output() {
        Output::Json => {
            let duplicate = |one: &Duplicate| json!({ "line": one.line, "digest": one.digest, "reason": one.reason });
            let listed: Vec<Value> = outcome.duplicates.iter().map(duplicate).collect();
            output::write_json(&json!({ "imported": outcome.imported, "duplicates": listed }))?;
        }
        Output::Text => {
            let line = |one: &Duplicate| match one.reason.as_str() {
                "repeated" => format!("line {}: {} stands in the file before\n", one.line, one.digest),
                _ => format!("line {}: {} is there already\n", one.line, one.digest),
            };
            let mut text: String = listed.map(line).collect();
            if count > most {
                text.push_str(&format!("… and {} more\n", count - most));
            }
            text.push_str(&format!("imported {}, duplicates {count}\n{}", outcome.imported, outcome.waited.line()));
            output::write(&text)?;
        }
    }
    Ok(())
}
