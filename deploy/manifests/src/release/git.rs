//! This module runs git. Its messages must not contain a token.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use super::ReleaseError;

/// Reads the token from the environment, so that it is in no command line, file or address.
const CREDENTIALS: &str = "credential.helper=!f() { echo username=oauth2; echo \"password=$MANIFESTS_TOKEN\"; }; f";

/// A checkout.
#[derive(Debug)]
pub struct Git {
    folder: PathBuf,
    token: Option<String>,
}

/// The result of a push that the server did not refuse for good.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed {
    Done,
    /// Another commit arrived first.
    Overtaken,
}

impl Git {
    pub fn new(folder: &Path, token: Option<&str>) -> Self {
        Self { folder: folder.to_owned(), token: token.map(str::to_owned) }
    }

    /// Clones the tip of a branch.
    pub fn clone(address: &str, branch: &str, folder: &Path, token: Option<&str>) -> Result<Self, ReleaseError> {
        let git = Self::new(folder, token);
        let parent = Self::new(folder.parent().unwrap_or(folder), token);
        let folder = folder.display().to_string();
        let output = parent.run(&["clone", "--quiet", "--depth=1", "--no-tags", "--branch", branch, address, &folder])?;
        if output.status.success() {
            return Ok(git);
        }
        Err(ReleaseError::Refused(format!("the manifests repository cannot be read: {}", git.words(&output))))
    }

    pub fn has(&self, commit: &str) -> bool {
        let object = format!("{commit}^{{commit}}");
        self.run(&["cat-file", "-e", &object]).is_ok_and(|output| output.status.success())
    }

    pub fn is_ancestor(&self, older: &str, newer: &str) -> Result<bool, ReleaseError> {
        let output = self.run(&["merge-base", "--is-ancestor", older, newer])?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(ReleaseError::Input(format!("the history of {older} and {newer} is not complete: {}", self.words(&output)))),
        }
    }

    /// Writes the files of a commit that a release copies.
    pub fn export(&self, commit: &str, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut archive = self
            .command(&["archive", "--format=tar", commit, "--", "deploy/base", "dashboards", "logship-config/fluent-bit"])
            .stdout(Stdio::piped())
            .spawn()
            .context("running git archive")?;
        let stream = archive.stdout.take().context("git archive has no output")?;
        let unpacked = Command::new("tar").arg("-xC").arg(folder).stdin(stream).status().context("running tar")?;
        if !archive.wait()?.success() || !unpacked.success() {
            bail!("the commit {commit} has no deploy/base, dashboards or logship-config/fluent-bit");
        }
        Ok(())
    }

    /// Commits the changes below the paths. Returns whether there were any.
    ///
    /// # Errors
    /// Returns an error if a file outside the paths changed.
    pub fn commit(&self, paths: &[String], message: &str) -> Result<bool> {
        let mut add = vec!["add", "--all", "--"];
        add.extend(paths.iter().map(String::as_str));
        self.must(&add)?;
        let left = self.must(&["status", "--porcelain", "--untracked-files=all"])?;
        if let Some(line) = left.lines().find(|line| line.get(1..2).is_none_or(|unstaged| unstaged != " ")) {
            bail!("a file outside the release changed: {line}");
        }
        if left.is_empty() {
            return Ok(false);
        }
        let identity =
            ["-c", "user.name=exchange deploy", "-c", "user.email=deploy@exchange.invalid", "-c", "commit.gpgSign=false"];
        let mut commit = identity.to_vec();
        commit.extend(["commit", "--quiet", "--message", message]);
        self.must(&commit)?;
        Ok(true)
    }

    /// Pushes the checkout to a branch.
    pub fn push(&self, branch: &str, options: &[String]) -> Result<Pushed, ReleaseError> {
        let target = format!("HEAD:refs/heads/{branch}");
        let mut arguments = vec!["push", "--porcelain"];
        for option in options {
            arguments.extend(["--push-option", option]);
        }
        arguments.extend(["origin", &target]);
        let output = self.run(&arguments)?;
        if output.status.success() {
            return Ok(Pushed::Done);
        }
        let words = self.words(&output);
        // Git's own words for a lost race, also while another push holds the branch.
        let lost =
            ["fetch first", "non-fast-forward", "stale info", "cannot lock ref", "failed to update ref", "incorrect old value"];
        if lost.iter().any(|sign| words.contains(sign)) && !words.contains("hook declined") {
            return Ok(Pushed::Overtaken);
        }
        Err(ReleaseError::Refused(format!("the manifests repository refused the push: {words}")))
    }

    /// Takes the newest state of a branch, and drops the own commit.
    pub fn take(&self, branch: &str) -> Result<(), ReleaseError> {
        let output = self.run(&["fetch", "--quiet", "--depth=1", "origin", branch])?;
        if !output.status.success() {
            return Err(ReleaseError::Refused(format!("the manifests repository cannot be read: {}", self.words(&output))));
        }
        self.must(&["reset", "--quiet", "--hard", "FETCH_HEAD"])?;
        self.must(&["clean", "--quiet", "-fd"])?;
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(["-c", "credential.helper="]);
        if let Some(token) = &self.token {
            command.args(["-c", CREDENTIALS]).env("MANIFESTS_TOKEN", token);
        }
        // A question for a password would wait for ever; messages are compared, so they must be in English.
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments).output().context("running git")
    }

    fn must(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            bail!("git {} failed: {}", arguments.first().unwrap_or(&""), self.words(&output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What git and the server said, on one line, without a token.
    fn words(&self, output: &Output) -> String {
        let both = format!("{}\n{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        let lines = both.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
        redacted(&lines.collect::<Vec<_>>().join("; "), self.token.as_deref())
    }
}

/// Removes the token and the user part of every address.
fn redacted(text: &str, token: Option<&str>) -> String {
    let mut text = text.to_owned();
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        text = text.replace(token, "…");
    }
    let mut result = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        result.push_str(before);
        let end = after.find(|character: char| character == '/' || character.is_whitespace()).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                result.push('…');
                &after[at..]
            }
            None => after,
        };
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn words_of_the_server_lose_every_credential() {
        for (text, expected) in [
            ("fatal: https://oauth2:s3cret@host/x.git: 403", "fatal: https://…@host/x.git: 403"),
            ("https://a:b@c@host/x and https://host/y", "https://…@host/x and https://host/y"),
            ("remote: token s3cret is not valid", "remote: token … is not valid"),
            ("nothing to hide", "nothing to hide"),
        ] {
            assert_eq!(redacted(text, Some("s3cret")), expected);
        }
    }
}
