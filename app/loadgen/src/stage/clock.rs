//! This module is the wall clock of one program, which a test can set while the program runs. It must not change the machine's clock.
//!
//! - libfaketime answers the program's readings of the wall clock. The monotonic clock stays real, as after a step on a real machine.

use super::StagedExchange;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where Debian installs it, below the folder of the processor's libraries.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The offset of one program's wall clock, in a file that libfaketime reads again each second.
#[derive(Debug)]
pub struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// A right clock. Its file is in `folder`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        let clock = Self { file: folder.join(format!("{name}.clock")) };
        clock.step(0)?;
        Ok(clock)
    }

    /// The same programs, with this clock.
    ///
    /// # Errors
    ///
    /// Returns an error if libfaketime is missing.
    pub fn of(&self, exchange: StagedExchange) -> Result<StagedExchange> {
        let library = library()?;
        Ok(exchange
            .set("LD_PRELOAD", &library.to_string_lossy())
            .set("FAKETIME_TIMESTAMP_FILE", &self.file.to_string_lossy())
            .set("FAKETIME_CACHE_DURATION", "1")
            .set("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
    }

    /// Sets it to `seconds` after the machine's clock.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn step(&self, seconds: i64) -> Result<()> {
        // The program must never read half a number.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&next, &self.file))
            .with_context(|| format!("writing {}", self.file.display()))
    }
}

fn library() -> Result<PathBuf> {
    let folders = std::fs::read_dir(LIBRARIES).with_context(|| format!("reading {LIBRARIES}"))?;
    let mut candidates = folders.flatten().map(|folder| folder.path().join(LIBRARY));
    candidates.find(|path| path.is_file()).context("libfaketime is missing: install the package libfaketime")
}
