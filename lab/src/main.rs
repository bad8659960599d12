//! The lab's program: packs the filter, runs the echo upstream, runs everything, lends a PostgreSQL.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its terminal")]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::pack::pack_file;
use lab::postgres::with_postgres;
use lab::run::{Api, Places, run};
use lab::upstream::Upstream;

/// Starts tollkeeper's real components, and packs the filter.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Remove from a built filter what it does not use, so that Envoy does not call it.
    Pack {
        /// The module as cargo built it.
        input: PathBuf,
        /// The module for Envoy.
        output: PathBuf,
    },
    /// Answer every request with what was received.
    Upstream {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:8082")]
        listen: SocketAddr,
    },
    /// Run key service, echo upstream and Envoy with demo keys until Ctrl-C.
    Run {
        /// The port where clients connect.
        #[arg(long, env = "TOLLKEEPER_PORT", default_value_t = 8080)]
        port: u16,
        /// The port of Envoy's admin interface.
        #[arg(long, env = "TOLLKEEPER_ADMIN_PORT", default_value_t = 9901)]
        admin_port: u16,
        /// The port of the key service.
        #[arg(long, env = "TOLLKEEPER_KEYSERVICE_PORT", default_value_t = 8081)]
        keyservice_port: u16,
        /// The port of the echo upstream.
        #[arg(long, env = "TOLLKEEPER_UPSTREAM_PORT", default_value_t = 8082)]
        upstream_port: u16,
        /// A file of envoy/apis/ to serve; envoy/edge.yaml if not given.
        #[arg(long, env = "TOLLKEEPER_API")]
        api: Option<Api>,
    },
    /// Run a command with a PostgreSQL of its own, found in TOLLKEEPER_TEST_POSTGRES, and exit as it does.
    WithPostgres {
        /// The folder of PostgreSQL's programs.
        #[arg(long)]
        programs: PathBuf,
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match execute(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Pack { input, output } => {
            let packed = pack_file(&input, &output)?;
            println!(
                "{}: {} bytes, from {}; {} exports removed",
                output.display(),
                packed.after,
                packed.before,
                packed.removed
            );
        }
        Command::Upstream { listen } => {
            let upstream = Upstream::start(listen).await?;
            println!("echo upstream on {}", upstream.address());
            upstream.serve().await?;
        }
        Command::Run { port, admin_port, keyservice_port, upstream_port, api } => {
            run(&Places::from_ports(port, admin_port, keyservice_port, upstream_port), api).await?;
        }
        Command::WithPostgres { programs, command } => {
            return Ok(ExitCode::from(with_postgres(&programs, &command).await?));
        }
    }
    Ok(ExitCode::SUCCESS)
}
