//! This module has the folders of this checkout, and runs programs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use manifests::{assemble, check, render, rules::Facts, world::RenderedEnvironment};

/// The root of this checkout.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

static TREE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    assemble::tree(&repository(), &folder.path().join("tree")).expect("the tree");
    folder
});

/// Staging as rendered from this checkout.
pub static STAGING: LazyLock<RenderedEnvironment> = LazyLock::new(|| {
    render::render_environment(&render::kubectl(&repository()), &TREE.path().join("tree"), "staging").expect("staging renders")
});

/// Staging with its backing services.
pub static WHOLE: LazyLock<RenderedEnvironment> = LazyLock::new(|| {
    let tree = TREE.path().join("tree");
    STAGING.with(&check::backing_services(&render::kubectl(&repository()), &tree).expect("the services render"))
});

/// What `dashboards/` must become, and the settings of `exchange` as its `--help` prints them.
pub fn facts() -> Facts {
    let mut facts = check::facts(&repository()).expect("dashboards");
    facts.registry = "registry.example.com".to_owned();
    let help = "EXCHANGE_DATABASE_URL[_FILE]  required  x\nEXCHANGE_SHUTDOWN_DEADLINE  20s  x\nEXCHANGE_ADMIN_LISTEN  127.0.0.1:9602  x\n";
    for role in ["worker", "migrate"] {
        facts.settings.insert(("exchange".to_owned(), role.to_owned()), manifests::settings::ProgramSettings::parse(help));
    }
    facts
}

/// Runs a program in a folder, and panics if it fails.
pub fn must(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = run(folder, program, arguments);
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().expect(program)
}
