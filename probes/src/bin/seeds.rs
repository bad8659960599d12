//! Writes the seeds of each probe into a folder for libFuzzer: `seeds FOLDER` makes `FOLDER/PROBE/seed-N`.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("name the folder: seeds FOLDER"));
    };
    for probe in tollkeeper_probes::ALL {
        let folder = folder.join(probe.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (probe.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
