//! `keyservice`: the service and its commands in one program.

use std::process::ExitCode;

fn main() -> ExitCode {
    keyservice::cli::main()
}
