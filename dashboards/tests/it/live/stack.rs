//! The whole exchange on this machine, as `make run` starts it, on ports and in a folder of its own.

use std::{env, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use local_parts::{ChildProcess, Folder, Launch, StopSignal};
use serde_json::Value;

use super::alert::Newcomer;

/// Everything up, and a trade on every market. It takes a minute on an idle machine; other tests run at the same time.
const READY_DEADLINE: Duration = Duration::from_secs(900);

/// Dropping it ends everything.
pub struct Stack {
    // Dropped in this order: the processes first, then their folder.
    process: ChildProcess,
    endpoints: Value,
    program: PathBuf,
    folder: Folder,
}

impl Stack {
    pub async fn start() -> Result<Self> {
        let folder = Folder::throwaway("dashboards")?;
        let run = run_in(&folder);
        let test = env::current_exe().context("looking for this test")?;
        let built = test.parent().and_then(|folder| folder.parent()).context("a test lies two folders deep")?;
        let program = built.join("local-parts");
        ensure!(program.is_file(), "{} is not built: run `make build`", program.display());
        let arguments = ["run".into(), "--port-base".into(), "0".into(), "--folder".into(), run.clone().into_os_string()];
        let launch = Launch::new("exchange-on-one-machine", program.clone(), arguments, Vec::new(), StopSignal::Terminate);
        let mut process = ChildProcess::start(&launch, folder.path())?;
        // Written last, when every part is ready.
        let file = run.join("endpoints.json");
        process.ready(READY_DEADLINE, async || file.is_file()).await?;
        let endpoints = serde_json::from_slice(&fs::read(&file)?).context("reading endpoints.json")?;
        Ok(Self { process, endpoints, program, folder })
    }

    pub fn newcomer(&self) -> Newcomer {
        Newcomer { local_parts: self.program.clone(), run: run_in(&self.folder), endpoints: self.endpoints.clone() }
    }

    /// The folder of the run.
    pub fn run(&self) -> PathBuf {
        run_in(&self.folder)
    }

    pub fn endpoints(&self) -> &Value {
        &self.endpoints
    }

    pub fn prometheus(&self) -> &str {
        self.endpoints["prometheus"].as_str().expect("the address of Prometheus")
    }

    pub fn database(&self) -> &str {
        self.endpoints["postgres"]["primary"].as_str().expect("the address of PostgreSQL")
    }

    /// One address for each process of a program; none when it does not run.
    pub fn metrics(&self, program: &str) -> Vec<String> {
        serde_json::from_value(self.endpoints["metrics"][program].clone()).unwrap_or_default()
    }

    /// Ends everything in order.
    pub async fn stop(&mut self) {
        self.process.stop(StopSignal::Terminate).await.expect("everything ends in time");
    }
}

/// Where the run is, in a folder of this test's.
fn run_in(folder: &Folder) -> PathBuf {
    folder.path().join("run")
}
