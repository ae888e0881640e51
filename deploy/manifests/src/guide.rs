//! This module reads the commands and paths of a guide and finds those that do not exist: files, `make` targets, kustomizations,
//! subcommands of our programs. It must not run a command that changes something.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

/// Tools of other projects that a guide may call. What they do is not checked here.
const TOOLS: &str = "age-keygen amtool argocd awk aws cat chronyc createdb crictl curl date df dmesg du echo export find git grep head helm \
    iostat journalctl jq kubectl ls lsof nginx openssl pg_isready pg_test_fsync ping promtool ps psql read sed \
    skopeo socat sort sqlite3 ss tail timedatectl top uniq vault vmstat wc xargs yq";

/// Programs of this repository, with the file in the folder of the built programs.
const PROGRAMS: [&str; 4] = ["alertbot", "backup", "exchange", "logship"];

/// Folders with what the guide names.
#[derive(Debug)]
pub struct Places<'a> {
    pub repository: &'a Path,
    /// The tree of the manifests repository.
    pub tree: &'a Path,
    /// Folder of the built programs.
    pub programs: &'a Path,
}

/// Commands of the fenced `sh` blocks with their line numbers. A line that ends with `\` continues.
pub fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut inside, mut continued) = (false, false);
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            inside = !inside && line == "```sh";
            continued = false;
            continue;
        }
        let line = line.split(" # ").next().unwrap_or(line).trim();
        if !inside || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part.trim(), true));
        match found.last_mut().filter(|_| continued) {
            Some((_, command)) => *command = format!("{command} {part}"),
            None => found.push((place + 1, part.to_owned())),
        }
        continued = more;
    }
    found
}

/// Paths of this repository in backticks, as `deploy/…`, with their line numbers.
fn paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (place, line) in text.lines().enumerate() {
        for word in line.split('`').skip(1).step_by(2).flat_map(str::split_whitespace) {
            if word.starts_with("deploy/") && !word.contains(['<', '*', '…', '{']) {
                found.push((place + 1, word.trim_end_matches(['.', ',', ':']).to_owned()));
            }
        }
    }
    found
}

/// What a guide names and does not exist.
pub fn faults(text: &str, places: &Places<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (line, path) in paths(text) {
        if !places.repository.join(&path).exists() {
            found.push(format!("line {line}: {path} does not exist"));
        }
    }
    for (line, command) in commands(text) {
        for part in parts(&command) {
            if let Some(fault) = fault(&part, places) {
                found.push(format!("line {line}: {fault}"));
            }
        }
    }
    found
}

fn fault(command: &str, places: &Places<'_>) -> Option<String> {
    let words = split(command);
    let words: Vec<&str> =
        words.iter().map(String::as_str).skip_while(|word| word.contains('=') && !word.starts_with('-')).collect();
    let (&first, rest) = words.split_first()?;
    if first == "make" {
        let makefile = std::fs::read_to_string(places.repository.join("Makefile")).unwrap_or_default();
        let target = rest.iter().find(|word| !word.contains('=') && !word.starts_with('-'))?;
        return (!makefile.contains(&format!("\n{target}:"))).then(|| format!("the Makefile has no target {target}"));
    }
    if first.starts_with("deploy/") {
        return (!places.repository.join(first).is_file()).then(|| format!("{first} does not exist"));
    }
    if PROGRAMS.contains(&first) {
        // An ellipsis is what the reader fills in; a capital word is a name of his.
        let arguments: Vec<&str> = rest.iter().map(|word| if *word == "…" { "x" } else { *word }).collect();
        return knows(places.programs.join(first), &arguments);
    }
    if !TOOLS.split(' ').any(|tool| tool == first) {
        return Some(format!("{first} is neither of this repository nor a listed tool"));
    }
    if first == "kubectl" {
        return kubectl(rest, places);
    }
    None
}

fn kubectl(words: &[&str], places: &Places<'_>) -> Option<String> {
    let value = |flag: &str| words.iter().position(|word| *word == flag).and_then(|place| words.get(place + 1)).copied();
    let folder = value("-k").or_else(|| value("kustomize"));
    if let Some(folder) = folder {
        let path = places.tree.join(folder);
        return (!path.join("kustomization.yaml").is_file())
            .then(|| format!("the manifests repository has no kustomization {folder}"));
    }
    if let Some(file) = value("-f").filter(|file| *file != "-") {
        return (!places.tree.join(file).exists()).then(|| format!("the manifests repository has no {file}"));
    }
    let place = words.iter().position(|word| word.starts_with("/usr/bin/"))?;
    let program = words[place].trim_start_matches("/usr/bin/");
    knows(places.programs.join(program), &words[place + 1..])
}

/// A subcommand, flag or argument that does not exist ends with clap's usage error before `--help` is reached.
fn knows(program: PathBuf, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(&program).args(arguments).arg("--help").output() {
        Ok(output) => output,
        Err(error) => return Some(format!("{} does not run: {error}; run: make build", program.display())),
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (!output.status.success()).then(|| format!("{name} does not understand {}", arguments.join(" ")))
}

/// Splits at characters outside quotes. A double-quoted part may contain single quotes, and the other way round.
fn outside_quotes(text: &str, separates: impl Fn(char) -> bool, keeps_quotes: bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for character in text.chars() {
        let boundary = matches!(character, '"' | '\'') && quote.is_none_or(|open| open == character);
        if boundary {
            quote = if quote.is_none() { Some(character) } else { None };
        }
        if quote.is_none() && !boundary && separates(character) {
            parts.push(String::new());
        } else if !boundary || keeps_quotes {
            parts.iter_mut().last().into_iter().for_each(|part| part.push(character));
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Commands of a pipeline or a list.
fn parts(command: &str) -> Vec<String> {
    outside_quotes(command, |character| matches!(character, '|' | ';' | '&'), true)
}

/// Words of a command. Quotes hold a word together.
fn split(command: &str) -> Vec<String> {
    outside_quotes(command, |character| character == ' ', false)
}

/// Guides of the deployment and runbooks, relative to the repository.
///
/// # Errors
/// Returns an error if a folder cannot be read.
pub fn guide_files(repository: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![PathBuf::from("deploy/README.md")];
    for (folder, inner) in [("deploy/infrastructure", "README.md"), ("dashboards/runbooks", "")] {
        for entry in std::fs::read_dir(repository.join(folder)).with_context(|| format!("reading {folder}"))? {
            let path = Path::new(folder).join(entry?.file_name()).join(inner);
            let path = if inner.is_empty() { path.components().collect() } else { path };
            if repository.join(&path).is_file() && path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Each `kubectl` command of the guides as `<file>:<line>\t<command>`, for a test that runs them against an API server.
///
/// # Errors
/// Returns an error if a guide cannot be read.
pub fn of_kubectl(repository: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for file in guide_files(repository)? {
        let text = std::fs::read_to_string(repository.join(&file)).with_context(|| format!("reading {}", file.display()))?;
        for (line, command) in commands(&text) {
            let kubectl = parts(&command).into_iter().filter(|part| part.starts_with("kubectl "));
            found.extend(kubectl.map(|part| format!("{}:{line}\t{part}", file.display())));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = "See `deploy/absent` and `deploy/<part>`.\n```sh\nmake absent\nmake up PORT=1\nkubectl apply -k argocd\n\
        kubectl apply \\\n  -k absent   # remark\nEXPORT=1 unknown-tool x\ndeploy/ci/absent x | cat\n```\n```yaml\nmake ignored\n```\n";

    #[test]
    fn quotes_hold_a_word_together() {
        assert_eq!(split("admin --reason \"first market\"  x"), ["admin", "--reason", "first market", "x"]);
        assert_eq!(parts("a 'b | c' | d \"e; 'f\" && g"), ["a 'b | c'", "d \"e; 'f\"", "g"]);
    }

    #[test]
    fn what_a_guide_names_must_exist() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("argocd")).expect("created");
        std::fs::write(folder.path().join("argocd/kustomization.yaml"), "").expect("written");
        std::fs::write(folder.path().join("Makefile"), "\nup: ## x\n").expect("written");
        let places = Places { repository: folder.path(), tree: folder.path(), programs: folder.path() };
        assert_eq!(
            faults(GUIDE, &places),
            [
                "line 1: deploy/absent does not exist",
                "line 3: the Makefile has no target absent",
                "line 6: the manifests repository has no kustomization absent",
                "line 8: unknown-tool is neither of this repository nor a listed tool",
                "line 9: deploy/ci/absent does not exist",
            ]
        );
    }
}
