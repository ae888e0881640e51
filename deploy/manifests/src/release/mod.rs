//! This module writes a release into the manifests repository: the images of one source commit and a copy of `deploy/base` of that
//! commit, in one commit.
//!
//! - Every try decides again from what the manifests repository holds then. A release never goes backwards.
//! - Nothing is pushed that does not render.
//! - Only `overlays/<environment>/base` and `overlays/<environment>/release` change.

mod decide;
mod git;
pub mod images;
mod write;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use decide::Decision;
use git::{Git, Pushed};
use images::Images;

/// Attempts to push while other commits arrive first.
const TRIES: u32 = 5;

/// Where to write, and what.
#[derive(Debug, Clone)]
pub struct Release {
    pub environment: String,
    /// Full hash of the source commit.
    pub commit: String,
    pub images: Images,
    /// Checkout that holds the source commit.
    pub source: PathBuf,
    /// Address of the manifests repository.
    pub manifests: String,
    pub branch: String,
    /// Password of that address, for the user `oauth2`.
    pub token: Option<String>,
    /// Push a branch that asks GitLab to open a merge request, instead of `branch` itself.
    pub merge_request: bool,
    /// For the commit message, such as the pipeline's address.
    pub origin: Option<String>,
    pub kubectl: PathBuf,
}

/// Why nothing was pushed. The number is the exit status.
#[derive(Debug)]
pub enum ReleaseError {
    /// 64: the input is wrong.
    Input(String),
    /// 65: the manifests repository holds something that does not render.
    Broken(String),
    /// 69: the manifests repository cannot be reached, or refuses the push.
    Refused(String),
    Other(anyhow::Error),
}

impl ReleaseError {
    pub fn status(&self) -> u8 {
        match self {
            Self::Input(_) => 64,
            Self::Broken(_) => 65,
            Self::Refused(_) => 69,
            Self::Other(_) => 1,
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(text) | Self::Broken(text) | Self::Refused(text) => formatter.write_str(text),
            Self::Other(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for ReleaseError {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Checks the input that needs no repository.
///
/// # Errors
/// Returns [`ReleaseError::Input`] with what is wrong and what to do.
pub fn check_input(environment: &str, commit: &str) -> Result<(), ReleaseError> {
    if !crate::ENVIRONMENTS.contains(&environment) {
        let known = crate::ENVIRONMENTS.join(" or ");
        return Err(ReleaseError::Input(format!("unknown environment {environment:?}; name {known}")));
    }
    if commit.len() != 40 || !commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ReleaseError::Input(format!("{commit:?} is not a commit's full hash; write all 40 digits (CI_COMMIT_SHA)")));
    }
    Ok(())
}

impl Release {
    /// Writes the release and returns what happened, as one line.
    ///
    /// # Errors
    /// Returns why nothing was pushed.
    pub fn write(&self) -> Result<String, ReleaseError> {
        check_input(&self.environment, &self.commit)?;
        let source = Git::new(&self.source, self.token.as_deref());
        self.known(&source, &self.commit)?;
        let folder = tempfile::tempdir().map_err(anyhow::Error::from)?;
        let base = folder.path().join("source");
        source.export(&self.commit, &base)?;
        let checkout = folder.path().join("manifests");
        let manifests = Git::clone(&self.manifests, &self.branch, &checkout, self.token.as_deref())?;
        for _ in 0..TRIES {
            if let Decision::Nothing(text) = self.decide(&source, &checkout)? {
                return Ok(text);
            }
            write::write_files(self, &base, &checkout)?;
            write::render(self, &checkout)?;
            if !manifests.commit(&self.paths(), &self.message())? {
                return Ok(format!("{} is at {} already: nothing to do", self.environment, self.commit));
            }
            match manifests.push(&self.target(), &self.push_options())? {
                Pushed::Done => return Ok(format!("{} is at {} now ({})", self.environment, self.commit, self.target())),
                Pushed::Overtaken => manifests.take(&self.branch)?,
            }
        }
        Err(ReleaseError::Refused(format!("other commits arrived first {TRIES} times; run this job again")))
    }

    fn decide(&self, source: &Git, checkout: &Path) -> Result<Decision, ReleaseError> {
        let overlay = checkout.join("overlays").join(&self.environment);
        if !overlay.is_dir() {
            let text =
                format!("the manifests repository has no overlays/{}; start it with `manifests assemble`", self.environment);
            return Err(ReleaseError::Input(text));
        }
        let deployed = std::fs::read_to_string(overlay.join("release/commit")).unwrap_or_default();
        let deployed = deployed.trim();
        if !deployed.bytes().all(|byte| byte == b'0') {
            self.known(source, deployed)?;
        }
        decide::decide(&self.environment, deployed, &self.commit, |older, newer| source.is_ancestor(older, newer))
    }

    fn known(&self, source: &Git, commit: &str) -> Result<(), ReleaseError> {
        if source.has(commit) {
            return Ok(());
        }
        let text = format!("this checkout lacks the commit {commit}; fetch the whole history (GIT_DEPTH: 0)");
        Err(ReleaseError::Input(text))
    }

    fn paths(&self) -> [String; 2] {
        [format!("overlays/{}/base", self.environment), format!("overlays/{}/release", self.environment)]
    }

    fn short(&self) -> &str {
        &self.commit[..12]
    }

    fn message(&self) -> String {
        let origin = self.origin.as_ref().map(|origin| format!("\n\nPipeline: {origin}")).unwrap_or_default();
        format!("{}: Deploy {}{origin}\n", self.environment, self.short())
    }

    fn target(&self) -> String {
        if self.merge_request { format!("deploy/{}/{}", self.environment, self.short()) } else { self.branch.clone() }
    }

    fn push_options(&self) -> Vec<String> {
        if !self.merge_request {
            return Vec::new();
        }
        let title = format!("merge_request.title={}: Deploy {}", self.environment, self.short());
        let target = format!("merge_request.target={}", self.branch);
        vec!["merge_request.create".to_owned(), target, title, "merge_request.remove_source_branch".to_owned()]
    }
}
