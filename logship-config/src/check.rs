//! `logship check`: the files alone, offline. Never a request.

use std::{fs, path::Path};

use crate::{
    desired::{Fault, Faults, yaml},
    exit::{Exit, Failure},
};

/// Reads every YAML file under `folder` and says how many there are.
///
/// # Errors
/// With every fault of every file.
pub fn run(folder: &Path) -> Result<usize, Failure> {
    let mut files = Vec::new();
    collect(folder, &mut files).map_err(|error| {
        let told = format!("{} cannot be read ({error}); name the folder of declared files with --declared", folder.display());
        Failure::new(Exit::Configuration, told)
    })?;
    let mut faults = Vec::new();
    for path in &files {
        let file = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let parsed =
            fs::read_to_string(path).map_err(|error| (0, format!("cannot be read ({error})"), "correct the file".into()));
        let parsed = parsed.and_then(|text| yaml::parse(&text).map_err(|fault| (fault.line, fault.wrong, fault.remedy)));
        if let Err((line, wrong, remedy)) = parsed {
            faults.push(Fault { file, line, path: String::new(), wrong, remedy });
        }
    }
    if faults.is_empty() { Ok(files.len()) } else { Err(Failure::new(Exit::Declared, Faults(faults).to_string())) }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
    }
    Ok(())
}
