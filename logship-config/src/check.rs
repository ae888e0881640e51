//! This module runs `logship check`: it validates the files offline. It must not send a request.

use std::path::Path;

use crate::{
    desired::{self, Desired},
    exit::{Exit, Failure},
};

/// Reads everything declared under `folder`.
///
/// # Errors
/// Returns every fault of every file, or the reason why the folder cannot be read.
pub fn run(folder: &Path) -> Result<Desired, Failure> {
    let files = desired::read(folder).map_err(|error| {
        if error.kind() == std::io::ErrorKind::InvalidData {
            return Failure::new(Exit::Declared, format!("the declared files have a fault:\n  {error}; save the file as UTF-8"));
        }
        let told = format!("{} cannot be read ({error}); set the folder of declared files with --declared", folder.display());
        Failure::new(Exit::Configuration, told)
    })?;
    if files.is_empty() {
        let told = format!("{} contains no YAML file; set the folder of declared files with --declared", folder.display());
        return Err(Failure::new(Exit::Configuration, told));
    }
    desired::load(&files).map_err(|faults| Failure::new(Exit::Declared, faults.to_string()))
}
