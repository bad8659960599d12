//! `keyservice token-keys`.

use clap::{Args, Subcommand};
use tollkeeper_contract::TokenKeyId;

use super::{
    CommandError, Target,
    fields::Fields,
    output::or_dash,
    target::Wait,
    thing::{self, Thing, path_of},
};
use crate::api::wire::TokenKeyView;

/// What to do with the keys that sign tokens.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the keys that sign tokens, and those whose tokens are still taken.
    #[command(after_help = "Example:\n  keyservice token-keys list")]
    List,
    /// Sign with a new key, as soon as nodes have had ten seconds to get it. Tokens of the keys before are taken until
    /// they end.
    #[command(after_help = "Examples:
  keyservice token-keys rotate --wait
  keyservice token-keys rotate --algorithm EdDSA
  keyservice token-keys rotate --end-others --wait")]
    Rotate(Rotate),
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// With what tokens are signed [default: what the service is set to, or as the key before].
    #[arg(long, value_parser = ["HS256", "EdDSA", "ES256"])]
    algorithm: Option<String>,
    /// End all other keys at once, and every token that they signed: for when the secret that they were made from has
    /// leaked, and this service has another one.
    #[arg(long)]
    end_others: bool,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::List => thing::list::<TokenKeyView>(target, &[]).await,
        Command::Rotate(Rotate { algorithm, end_others, wait }) => {
            let body = Fields::default().maybe("algorithm", algorithm);
            let body = body.maybe("end_others", end_others.then_some(true)).body();
            thing::create::<TokenKeyView>(target, wait, body).await
        }
    }
}

impl Thing for TokenKeyView {
    const WORD: &'static str = "token key";
    const LIST: &'static str = "token_keys";
    const PATH: &'static str = "/v1/token-keys";
    const PAGE: Option<&'static str> = None;
    const HEAD: &'static [&'static str] = &["KID", "ALGORITHM", "STATE", "OURS", "CREATED", "RETIRED", "ENDS"];

    fn row(self) -> Vec<String> {
        let ours = if self.ours { "yes" } else { "no" }.to_owned();
        let [retired, ends] = [self.retired_at, self.ends_at].map(|time| or_dash(time.as_deref()));
        vec![self.kid, self.algorithm, self.state, ours, self.created_at, retired, ends]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("kid", Some(self.kid)),
            ("algorithm", Some(self.algorithm)),
            ("state", Some(self.state)),
            ("ours", Some(if self.ours { "yes" } else { "no" }.to_owned())),
            ("created", Some(self.created_at)),
            ("retired", self.retired_at),
            ("ends", self.ends_at),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        path_of(Self::PATH, TokenKeyId::parse(id))
    }
}
