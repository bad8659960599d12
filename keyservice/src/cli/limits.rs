//! `keyservice limits`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::{Factor, InvalidFactor};

use super::{
    CommandError, Target,
    client::view,
    output::{self, Output},
    target::{Wait, Waited},
};
use crate::{
    api::wire::LimitsView,
    domain::{factor_of, number_of},
};

const PATH: &str = "/v1/limits";

/// What to do with the limits of everybody.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what all limits are multiplied by.
    #[command(after_help = "Example:\n  keyservice limits show")]
    Show,
    /// Multiply all limits, of teams' own and by default, for the time being. Nobody gets a fresh bucket, neither now nor
    /// when the factor is set back to 1.
    #[command(after_help = "Examples:
  keyservice limits set --factor 0.5 --wait
  keyservice limits set --factor 1")]
    Set {
        /// What every limit is multiplied by: 0.001 to 10, with at most three digits behind the point.
        #[arg(long, value_parser = factor)]
        factor: Factor,
        #[command(flatten)]
        wait: Wait,
    },
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    let client = target.client()?;
    let (answer, waited) = match command {
        Command::Show => (client.get(PATH, &[]).await?, Waited::default()),
        Command::Set { factor, wait } => {
            let body = json!({ "factor": number_of(factor) });
            wait.send(&client, Method::PUT, PATH, Some(&body)).await?
        }
    };
    write(target, answer, &waited)
}

fn write(target: &Target, answer: Value, waited: &Waited) -> Result<(), CommandError> {
    match target.output() {
        Output::Json => output::write_json(&answer)?,
        Output::Text => {
            let limits: LimitsView = view(answer)?;
            let (factor, revision) = (Some(limits.factor.to_string()), Some(limits.revision.to_string()));
            let pairs = output::pairs(&[("factor", factor), ("revision", revision)]);
            output::write(&format!("{pairs}{}", waited.line()))?;
        }
    }
    waited.outcome()
}

fn factor(text: &str) -> Result<Factor, InvalidFactor> {
    factor_of(text.parse().map_err(|_| InvalidFactor)?)
}
