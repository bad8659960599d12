//! What stays between two runs, in `.run/`: the database, the tokens, the demo keys and the logs of the last run.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::access;
use crate::secret::{Secret, Tokens};

/// The directory of a run and the tokens in it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) directory: PathBuf,
    pub(crate) tokens: Tokens,
}

impl State {
    /// Opens `.run/` in the working directory, or makes it, with new tokens.
    pub(crate) fn open() -> Result<Self> {
        let directory = std::env::current_dir()?.join(".run");
        access::private_directory(&directory)?;
        let tokens = Tokens {
            admin: token(&directory.join("admin-token"))?,
            node: token(&directory.join("node-token"))?,
            signing: token(&directory.join("signing-secret"))?,
        };
        let state = Self { directory, tokens };
        state.forget_last_run()?;
        Ok(state)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.join("tollkeeper.db")
    }

    pub(crate) fn access_log(&self) -> PathBuf {
        self.directory.join("access.log")
    }

    /// The demo keys: a key is shown only once, so a demonstration that is to be repeated must keep it.
    pub(crate) fn demo_keys(&self) -> PathBuf {
        self.directory.join("demo-keys.json")
    }

    /// Removes the logs of the last run, and demo keys whose database is gone.
    fn forget_last_run(&self) -> Result<()> {
        for log in ["envoy.log", "keyservice.log", "access.log"] {
            remove(&self.directory.join(log))?;
        }
        if !self.database().exists() {
            remove(&self.demo_keys())?;
        }
        Ok(())
    }
}

fn token(file: &Path) -> Result<Secret> {
    match fs::read_to_string(file) {
        Ok(text) => {
            ensure!(!text.trim().is_empty(), "{} is empty: remove it, and a new token is made", file.display());
            Ok(Secret::from_text(text.trim()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let token = Secret::random()?;
            access::write_private(file, token.expose().as_bytes())?;
            Ok(token)
        }
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| file.display().to_string()),
        _ => Ok(()),
    }
}
