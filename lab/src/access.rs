//! Files that only their owner may read, written so that nobody ever sees half of one.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a directory (and its parents) that only its owner may enter. One that exists stays as it is.
///
/// # Errors
/// When the file system refuses.
pub fn private_directory(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| path.display().to_string())
}

/// Writes a file of mode 0600, through a new file beside it and a rename.
///
/// # Errors
/// When the file system refuses.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, 0o600)
}

/// Writes a file of mode 0644 (less the umask), through a new file beside it and a rename.
///
/// # Errors
/// When the file system refuses.
pub fn write_public(path: &Path, content: &[u8]) -> Result<()> {
    replace(path, content, 0o644)
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&beside);
    // A leftover of an interrupted run would keep its own mode.
    let _ = fs::remove_file(beside);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(beside)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
