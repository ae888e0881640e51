//! `logship check`: the files alone, offline. Never a request.

use std::path::Path;

use crate::{
    desired::{self, Desired},
    exit::{Exit, Failure},
};

/// Everything declared under `folder`.
///
/// # Errors
/// With every fault of every file, or why the folder cannot be read.
pub fn run(folder: &Path) -> Result<Desired, Failure> {
    let files = desired::read(folder).map_err(|error| {
        if error.kind() == std::io::ErrorKind::InvalidData {
            return Failure::new(Exit::Declared, format!("the declared files have a fault:\n  {error}; save it as UTF-8"));
        }
        let told = format!("{} cannot be read ({error}); name the folder of declared files with --declared", folder.display());
        Failure::new(Exit::Configuration, told)
    })?;
    if files.is_empty() {
        let told = format!("{} holds no YAML file; name the folder of declared files with --declared", folder.display());
        return Err(Failure::new(Exit::Configuration, told));
    }
    desired::load(&files).map_err(|faults| Failure::new(Exit::Declared, faults.to_string()))
}
