//! This module runs `logship check`: it validates the files offline. It must not send a request.

use std::path::Path;

use crate::{
    desired::{self, Desired},
    exit::{CommandFailure, Exit},
};

/// Reads everything declared under `folder`.
///
/// # Errors
/// Returns every fault of every file, or the reason why the folder cannot be read.
pub fn run(folder: &Path) -> Result<Desired, CommandFailure> {
    let files = desired::read_files(folder).map_err(|error| {
        if error.kind() == std::io::ErrorKind::InvalidData {
            return CommandFailure::new(
                Exit::Declared,
                format!("the declared files have a fault:\n  {error}; save the file as UTF-8"),
            );
        }
        let told = format!("{} cannot be read ({error}); set the folder of declared files with --declared", folder.display());
        CommandFailure::new(Exit::Configuration, told)
    })?;
    if files.is_empty() {
        let told = format!("{} contains no YAML file; set the folder of declared files with --declared", folder.display());
        return Err(CommandFailure::new(Exit::Configuration, told));
    }
    desired::load_desired(&files).map_err(|faults| CommandFailure::new(Exit::Declared, faults.to_string()))
}
