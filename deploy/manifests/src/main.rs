//! This module holds the table of subcommands of `manifests`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use manifests::{
    assemble, check, placeholders,
    release::{self, Release, ReleaseError, images::Images},
};

/// Assemble, check and release the Kubernetes manifests.
#[derive(Parser)]
#[command(after_help = RELEASE_STATUSES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUSES: &str = "Exit status: 0 success, 1 failed or a check failed, 64 invalid arguments";
const RELEASE_STATUSES: &str = "Exit status: 0 success, 1 failed or a check failed, 64 invalid input, 65 the manifests repository \
    does not render, 69 the manifests repository is unreachable or refuses the push";
const PLACEHOLDER_STATUSES: &str = "Exit status: 0 nothing is missing, 1 failed, 64 invalid arguments, 65 something is missing";
/// These are not arguments: scripts and tests read the same ones.
const CHECK_SETTINGS: &str = "Settings:\n  CI           `true`: fail if a check is skipped that deploy/skips does not list\n  \
    SHARED_DATA  folder with crds.tar.gz, the schemas of custom resources\n\n";

#[derive(Subcommand)]
enum Command {
    /// Write the tree of the manifests repository into a new folder
    #[command(after_help = EXIT_STATUSES)]
    Assemble {
        /// New or empty folder
        folder: PathBuf,
    },
    /// Render every environment and check the rules; print `N passed, N failed`
    #[command(after_help = format!("{CHECK_SETTINGS}{EXIT_STATUSES}"))]
    Check {
        /// Folder of the built programs
        #[arg(long, default_value = "target/debug")]
        programs: PathBuf,
    },
    /// List what a tree of the manifests repository still lacks: digests of zeros, example names
    #[command(after_help = PLACEHOLDER_STATUSES)]
    Placeholders {
        /// Folder with `argocd`, `infrastructure` and `overlays`
        folder: PathBuf,
    },
    /// Print each kubectl command of the guides and runbooks, with its place
    #[command(after_help = EXIT_STATUSES)]
    Guide,
    /// Write the images and the base of one source commit into the manifests repository
    #[command(after_help = RELEASE_STATUSES)]
    DeployDigests(Deploy),
}

#[derive(clap::Args)]
struct Deploy {
    /// staging or production
    environment: String,
    /// Full hash of the source commit
    commit: String,
    /// One line per program: <program> <registry>/<name>@sha256:<digits>
    digests: PathBuf,
    /// Open a merge request instead of pushing to the branch
    #[arg(long)]
    merge_request: bool,
    /// Address of the manifests repository
    #[arg(long, env = "MANIFESTS_REPOSITORY", default_value = "", hide_env_values = true)]
    manifests: String,
    /// Branch that Argo CD watches
    #[arg(long, env = "MANIFESTS_BRANCH", default_value = "main")]
    branch: String,
    /// Password for the user oauth2; set it in the environment, not on the command line
    #[arg(long, env = "MANIFESTS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Address in the commit message
    #[arg(long, env = "CI_PIPELINE_URL")]
    origin: Option<String>,
}

/// sysexits.h: the command was used incorrectly.
const EXIT_USAGE: u8 = 64;
/// sysexits.h: the data are incomplete.
const EXIT_DATA: u8 = 65;

fn main() -> ExitCode {
    let repository = std::env::current_dir().unwrap_or_default();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let status = if error.use_stderr() { EXIT_USAGE } else { 0 };
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(status));
        }
    };
    match arguments.command {
        Command::Assemble { folder } => match assemble::tree(&repository, &folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&format!("assemble: {error:#}"), 1),
        },
        Command::Check { programs } => match check::check_repository(&repository, &programs) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => failed(&format!("check: {error:#}"), 1),
        },
        Command::Placeholders { folder } => match placeholders::of_tree(&manifests::render::kubectl(&repository), &folder) {
            Ok(found) if found.is_empty() => {
                println!("placeholders: nothing is missing");
                ExitCode::SUCCESS
            }
            Ok(found) => {
                found.iter().for_each(|line| println!("{line}"));
                failed(&format!("placeholders: {} settings are missing; do not apply this tree", found.len()), EXIT_DATA)
            }
            Err(error) => failed(&format!("placeholders: {error:#}"), 1),
        },
        Command::Guide => match manifests::guide::of_kubectl(&repository) {
            Ok(commands) => {
                commands.iter().for_each(|command| println!("{command}"));
                ExitCode::SUCCESS
            }
            Err(error) => failed(&format!("guide: {error:#}"), 1),
        },
        Command::DeployDigests(deploy) => match deploy.run(repository) {
            Ok(text) => {
                println!("deploy-digests: {text}");
                ExitCode::SUCCESS
            }
            Err(error) => failed(&format!("deploy-digests: {error}"), error.status()),
        },
    }
}

impl Deploy {
    fn run(self, repository: PathBuf) -> Result<String, ReleaseError> {
        release::check_input(&self.environment, &self.commit)?;
        let images = Images::read(&self.digests)?;
        if self.manifests.is_empty() {
            let text = "MANIFESTS_REPOSITORY is not set; set it to the address of the manifests repository";
            return Err(ReleaseError::Input(text.to_owned()));
        }
        let kubectl = manifests::render::kubectl(&repository);
        let release = Release {
            environment: self.environment,
            commit: self.commit,
            images,
            source: repository,
            manifests: self.manifests,
            branch: self.branch,
            token: self.token.filter(|token| !token.is_empty()),
            merge_request: self.merge_request,
            origin: self.origin.filter(|origin| !origin.is_empty()),
            kubectl,
        };
        release.write()
    }
}

fn failed(text: &str, status: u8) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(status)
}
