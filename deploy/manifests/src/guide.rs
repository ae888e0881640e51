//! This module reads the commands and paths of a guide and finds those that do not exist: files, `make` targets, kustomizations,
//! subcommands of our programs. It must not run a command that changes something.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Tools of other projects that a guide may call. What they do is not checked here.
const TOOLS: [&str; 15] = [
    "age-keygen",
    "argocd",
    "aws",
    "cat",
    "curl",
    "echo",
    "export",
    "git",
    "helm",
    "kubectl",
    "openssl",
    "psql",
    "read",
    "skopeo",
    "vault",
];

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
        for part in command.split(['|', ';']).flat_map(|part| part.split("&&")) {
            if let Some(fault) = fault(part.trim(), places) {
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
    if !TOOLS.contains(&first) {
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
    let output = Command::new(&program).args(arguments).arg("--help").output().ok()?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (!output.status.success()).then(|| format!("{name} does not understand {}", arguments.join(" ")))
}

/// Words of a command. Double quotes hold a word together.
fn split(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in command.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.iter_mut().last().into_iter().for_each(|word| word.push(other)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = "See `deploy/absent` and `deploy/<part>`.\n```sh\nmake absent\nmake up PORT=1\nkubectl apply -k argocd\n\
        kubectl apply \\\n  -k absent   # remark\nEXPORT=1 unknown-tool x\ndeploy/ci/absent x | cat\n```\n```yaml\nmake ignored\n```\n";

    #[test]
    fn quotes_hold_a_word_together() {
        assert_eq!(split("admin --reason \"first market\"  x"), ["admin", "--reason", "first market", "x"]);
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
