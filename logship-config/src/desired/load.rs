//! This module parses the declared files. It reads every file, checks every rule and returns all faults at once.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde_json::{Map, Value, json};
use service_kit::yaml::{FileFault, YamlDocument};

use super::{
    DeclaredFault, DeclaredFaults, Desired, OWNER_KEY, ObjectKind,
    rules::{self, Checked},
};

/// A file's path, relative to the declared folder and with slashes, and its text.
pub type Files = BTreeMap<String, String>;

const STREAMS_FILE: &str = "streams.yaml";
const OWNER_FILE: &str = "owner.yaml";
/// Files for people, which need not be declarations.
const NOTES: [&str; 2] = ["md", "txt"];

/// Reads the files of a folder, except hidden ones and notes.
///
/// # Errors
/// Returns an error with the name of the folder or file that cannot be read; [`io::ErrorKind::InvalidData`] if one is not
/// text.
pub fn read_files(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    collect(folder, folder, &mut files)?;
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Files) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // Kubernetes mounts a folder through `..data` and similar entries; the other names lead to the same files.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !hidden {
            collect(root, &path, files)?;
        } else if !hidden && !path.extension().is_some_and(|extension| NOTES.iter().any(|note| extension == *note)) {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string().replace('\\', "/");
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
            // A pipe would block.
            if fs::metadata(&path).map_err(named)?.is_file() {
                files.insert(name.clone(), fs::read_to_string(&path).map_err(named)?);
            } else {
                return Err(named(io::Error::other("is not a file; remove it")));
            }
        }
    }
    Ok(())
}

/// Parses and validates files, without a cluster.
///
/// # Errors
/// Returns every fault of every file.
pub fn load_desired(files: &Files) -> Result<Desired, DeclaredFaults> {
    let mut faults = Vec::new();
    let mut desired = Desired::default();
    let mut documents = BTreeMap::new();
    for (file, text) in files {
        if let Err(found) = one(file, text, &mut documents, &mut desired) {
            faults.extend(found);
        }
    }
    let mark = Desired::mark(desired.owner.as_deref());
    desired.objects.iter_mut().for_each(|((kind, _), body)| set_mark(*kind, body, &mark));
    // Skipped if objects are faulty: their references would only repeat the faults.
    if faults.is_empty() {
        faults.extend(rules::references(&desired, &|kind, name| locate(&documents, kind, name)));
    }
    faults.sort();
    if faults.is_empty() { Ok(desired) } else { Err(DeclaredFaults(faults)) }
}

/// Parses and validates one file.
fn one(
    file: &str,
    text: &str,
    documents: &mut BTreeMap<String, YamlDocument>,
    desired: &mut Desired,
) -> Result<(), Vec<DeclaredFault>> {
    let in_file = |faults: Vec<FileFault>| match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.into_iter().map(|fault| DeclaredFault { file: file.to_owned(), fault }).collect()),
    };
    let whole = |wrong: &str, remedy: &str| Err(vec![DeclaredFault::whole(file, wrong, remedy)]);
    if ![".yaml", ".yml"].iter().any(|end| file.ends_with(end)) {
        let remedy = "rename it to end with .yaml (JSON is valid YAML), or remove it; .md and .txt are not read";
        return whole("is not a YAML file", remedy);
    }
    let document = match YamlDocument::parse(text) {
        Ok(document) => document,
        Err(faults) => return in_file(faults),
    };
    let mut checked = Checked::new(&document);
    if file == OWNER_FILE {
        desired.owner = rules::owner(&mut checked);
        return in_file(checked.into_faults());
    }
    if file == STREAMS_FILE {
        desired.streams = rules::streams(&mut checked);
        let faults = checked.into_faults();
        documents.insert(file.to_owned(), document);
        return in_file(faults);
    }
    let Some((kind, name)) = kind_and_name(file) else {
        let folders: Vec<_> = ObjectKind::ALL.iter().filter_map(|kind| kind.folder()).collect();
        let remedy = format!("move it to {}, or name it {STREAMS_FILE} or {OWNER_FILE}", folders.join(", "));
        return whole("is in a folder that is not read", &remedy);
    };
    // Two extensions lead to one name.
    if let Some((other, _)) = locate(documents, kind, &name) {
        return whole(&format!("declares the {kind} {name:?}, and so does {other}"), "remove one of them");
    }
    rules::object(kind, &name, &mut checked);
    let faults = checked.into_faults();
    if faults.is_empty() {
        desired.objects.insert((kind, name), document.value.clone());
    }
    documents.insert(file.to_owned(), document);
    in_file(faults)
}

/// `policies/a.yaml` is the lifecycle policy `a`.
fn kind_and_name(file: &str) -> Option<(ObjectKind, String)> {
    let (folder, name) = file.rsplit_once('/')?;
    let name = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))?;
    ObjectKind::ALL.into_iter().find(|kind| kind.folder() == Some(folder)).map(|kind| (kind, name.to_owned()))
}

/// Returns the file and document that declare an object.
fn locate<'a>(
    documents: &'a BTreeMap<String, YamlDocument>,
    kind: ObjectKind,
    name: &str,
) -> Option<(&'a str, &'a YamlDocument)> {
    let found = |file: String| documents.get_key_value(&file).map(|(file, document)| (file.as_str(), document));
    match kind.folder() {
        None => found(STREAMS_FILE.to_owned()),
        Some(folder) => ["yaml", "yml"].iter().find_map(|extension| found(format!("{folder}/{name}.{extension}"))),
    }
}

/// Sets the mark of ownership, if the kind has a place for one.
fn set_mark(kind: ObjectKind, body: &mut Value, mark: &str) {
    let meta = match kind {
        ObjectKind::Pipeline | ObjectKind::LifecyclePolicy | ObjectKind::ComponentTemplate | ObjectKind::IndexTemplate => {
            &mut body["_meta"]
        }
        ObjectKind::SnapshotPolicy => &mut body["config"]["metadata"],
        ObjectKind::Repository | ObjectKind::DataStream => return,
    };
    if !meta.is_object() {
        *meta = Value::Object(Map::new());
    }
    meta[OWNER_KEY] = json!(mark);
}
