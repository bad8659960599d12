//! Faults of the machine under one program: another time of day, a disk that refuses writes, a main thread that stalls, a
//! worker of Envoy that gets no room for a VM.
//!
//! `lab/faults.c` does it, loaded into the program with `LD_PRELOAD`; here is the file in which it reads what to do.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::artifacts;

const CLOCK: u64 = 0;
const WRITES: u64 = 8;
const STALL: u64 = 12;
const NO_ROOM: u64 = 16;

/// What is wrong with the machine of the programs that have [`Self::environment`]; nothing at first.
#[derive(Debug)]
pub struct Faults {
    file: File,
    environment: [(&'static str, String); 2],
    _folder: TempDir,
}

/// What a disk says to whoever writes a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// It takes everything.
    Fine,
    /// It is full (ENOSPC).
    Full,
    /// It has become read-only, as file systems do when they fail (EROFS).
    ReadOnly,
}

impl Faults {
    /// Nothing is wrong yet.
    ///
    /// # Errors
    /// When `TOLLKEEPER_FAULTS` is not set, or the file cannot be made.
    pub fn none() -> Result<Self> {
        let library = artifacts::faults()?;
        let folder = TempDir::with_prefix("tollkeeper-faults-")?;
        let path: PathBuf = folder.path().join("faults");
        let file = File::create_new(&path).with_context(|| path.display().to_string())?;
        file.set_len(20)?;
        let environment = [("LD_PRELOAD", text(library)?), ("LAB_FAULTS", text(path)?)];
        Ok(Self { file, environment, _folder: folder })
    }

    /// The environment of a program that is to have these faults.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The clock of the day is wrong by so many seconds; clocks that only count are not.
    ///
    /// # Errors
    /// When the file cannot be written; so do all that follow.
    pub fn shift_clock(&self, seconds: i64) -> Result<()> {
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), CLOCK)?)
    }

    /// What the disk says to whoever writes a database.
    ///
    /// # Errors
    /// See [`Self::shift_clock`].
    pub fn disk(&self, disk: Disk) -> Result<()> {
        // As Linux numbers them on every machine that Envoy is built for.
        let error: i32 = match disk {
            Disk::Fine => 0,
            Disk::Full => 28,
            Disk::ReadOnly => 30,
        };
        Ok(self.file.write_all_at(&error.to_ne_bytes(), WRITES)?)
    }

    /// One worker of Envoy gets no room for the VMs that are made for it from now on.
    ///
    /// # Errors
    /// See [`Self::shift_clock`].
    pub fn leave_no_room_for_vms(&self) -> Result<()> {
        Ok(self.file.write_all_at(&1_i32.to_ne_bytes(), NO_ROOM)?)
    }

    /// Every worker gets the room that it asks for.
    ///
    /// # Errors
    /// See [`Self::shift_clock`].
    pub fn leave_room_for_vms(&self) -> Result<()> {
        Ok(self.file.write_all_at(&0_i32.to_ne_bytes(), NO_ROOM)?)
    }

    /// The main thread stands still before it next takes up work, until [`Self::thaw_main_thread`].
    ///
    /// # Errors
    /// See [`Self::shift_clock`].
    pub fn freeze_main_thread(&self) -> Result<()> {
        Ok(self.file.write_all_at(&1_i32.to_ne_bytes(), STALL)?)
    }

    /// The main thread goes on where it stood.
    ///
    /// # Errors
    /// See [`Self::shift_clock`].
    pub fn thaw_main_thread(&self) -> Result<()> {
        Ok(self.file.write_all_at(&0_i32.to_ne_bytes(), STALL)?)
    }
}

fn text(path: PathBuf) -> Result<String> {
    path.into_os_string().into_string().ok().context("a path that is no text")
}
