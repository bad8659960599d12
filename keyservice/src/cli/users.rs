//! `keyservice users`.

use std::{io::Read, path::PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::UserId;

use super::{
    CommandError, Target,
    fields::{Fields, list},
    target::Wait,
    thing::{self, Thing, path_of, told},
};
use crate::api::wire::UserView;

/// What to do with users.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a user of a team.
    #[command(after_help = "Example:\n  keyservice users create ada --team acme --permission read --permission write")]
    Create(Create),
    /// List users.
    #[command(after_help = "Example:\n  keyservice users list --team acme")]
    List(List),
    /// Show one user.
    #[command(after_help = "Example:\n  keyservice users show ada")]
    Show {
        /// The user's id.
        id: String,
    },
    /// Change a user; the user's keys and sessions follow at once.
    #[command(after_help = "Examples:
  keyservice users set ada --permission read
  keyservice users set ada --state disabled --wait")]
    Set(Set),
    /// Set a user's password, from a file or from standard input, or take it away.
    #[command(after_help = "Examples:
  keyservice users password ada --file /run/secrets/ada
  keyservice users password ada --stdin < /run/secrets/ada
  keyservice users password ada --none")]
    Password(Password),
    /// Delete a user, with all keys and sessions of the user's.
    #[command(after_help = "Example:\n  keyservice users delete ada --wait")]
    Delete {
        /// The user's id.
        id: String,
        #[command(flatten)]
        wait: Wait,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// The user's id: 1 to 64 of A-Z a-z 0-9 - . _ ~; the name to log in with.
    id: String,
    /// The team that the user belongs to.
    #[arg(long, value_name = "ID")]
    team: String,
    /// What people call the user [default: the id].
    #[arg(long)]
    name: Option<String>,
    /// A right, for example read; repeat it for more.
    #[arg(long = "permission", value_name = "SCOPE")]
    permissions: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub(crate) struct List {
    /// Only those of this team.
    #[arg(long, value_name = "ID")]
    team: Option<String>,
    /// Only those in this state.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
}

#[derive(Args)]
pub(crate) struct Set {
    /// The user's id.
    id: String,
    /// What people call the user.
    #[arg(long)]
    name: Option<String>,
    /// Whether the user's keys and sessions work: active or disabled.
    #[arg(long, value_parser = ["active", "disabled"])]
    state: Option<String>,
    /// The user's rights from now on; repeat it for more.
    #[arg(long = "permission", value_name = "SCOPE")]
    permissions: Vec<String>,
    /// Take all the user's rights away.
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
    #[command(flatten)]
    wait: Wait,
}

/// There is no flag for the password itself: `ps` would show it.
#[derive(Args)]
pub(crate) struct Password {
    /// The user's id.
    id: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Place {
    /// The file that holds the password; a line end behind it does not count.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the password from standard input.
    #[arg(long)]
    stdin: bool,
    /// Take the password away: the user can no longer log in with one.
    #[arg(long)]
    none: bool,
}

impl Place {
    fn read(&self) -> Result<Value, CommandError> {
        if self.none {
            return Ok(Value::Null);
        }
        let mut text = String::new();
        match &self.file {
            Some(path) => {
                let told = |error| CommandError::Usage(format!("cannot read {}: {error}", path.display()));
                text = std::fs::read_to_string(path).map_err(told)?;
            }
            None => {
                let told = |error| CommandError::Usage(format!("cannot read the password: {error}"));
                std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text).map_err(told)?;
            }
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(line.strip_suffix('\r').unwrap_or(line).into())
    }
}

pub(super) async fn run(command: Command, target: &Target) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => {
            let body = Fields::default().maybe("id", Some(args.id)).maybe("team", Some(args.team));
            let body = body.maybe("name", args.name).maybe("permissions", Some(args.permissions)).body();
            thing::create::<UserView>(target, args.wait, body).await
        }
        Command::List(List { team, state }) => {
            let filters = [("team", team.as_deref()), ("state", state.as_deref())];
            thing::list::<UserView>(target, &filters).await
        }
        Command::Show { id } => thing::show::<UserView>(target, &id).await,
        Command::Set(args) => {
            let body = Fields::default().maybe("name", args.name).maybe("state", args.state);
            let body = body.maybe("permissions", list(args.permissions, args.no_permissions)).change("users set")?;
            thing::change::<UserView>(target, args.wait, &args.id, body).await
        }
        Command::Password(args) => password(args, target).await,
        Command::Delete { id, wait } => thing::delete::<UserView>(target, wait, &id).await,
    }
}

async fn password(args: Password, target: &Target) -> Result<(), CommandError> {
    let path = format!("{}/password", UserView::path(&args.id)?);
    let body = json!({ "password": args.place.read()? });
    // No node serves passwords, so there is nothing to wait for.
    let answer = target.client()?.change(Method::PUT, &path, Some(&body), None).await?;
    let word = if args.place.none { "has no password any more" } else { "has a new password" };
    let text = format!("user {} {word}\n", args.id);
    told(target, answer, "password_set", (!args.place.none).into(), &text, &super::target::Waited::default())
}

impl Thing for UserView {
    const WORD: &'static str = "user";
    const LIST: &'static str = "users";
    const PATH: &'static str = "/v1/users";
    const HEAD: &'static [&'static str] = &["ID", "NAME", "TEAM", "STATE", "PERMISSIONS", "PASSWORD"];

    fn row(self) -> Vec<String> {
        let password = if self.has_password { "yes" } else { "no" }.to_owned();
        vec![self.id, self.name, self.team, self.state, self.permissions.join(" "), password]
    }

    fn about(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("id", Some(self.id)),
            ("name", Some(self.name)),
            ("team", Some(self.team)),
            ("state", Some(self.state)),
            ("permissions", Some(self.permissions.join(" ")).filter(|list| !list.is_empty())),
            ("password", Some(if self.has_password { "yes" } else { "no" }.to_owned())),
            ("created", Some(self.created_at)),
        ]
    }

    fn path(id: &str) -> Result<String, CommandError> {
        path_of(Self::PATH, UserId::parse(id))
    }
}
