//! The whole exchange on this machine, as `make run` starts it, on ports and in a folder of its own.

use std::{env, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use local_parts::{Folder, Launch, Process, StopSignal};
use serde_json::Value;

/// Everything up, and a trade on every market.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// Dropping it ends everything.
pub struct Stack {
    // Dropped in this order: the processes first, then their folder.
    process: Process,
    endpoints: Value,
    _folder: Folder,
}

impl Stack {
    pub async fn start() -> Result<Self> {
        let folder = Folder::throwaway("dashboards")?;
        let run = folder.path().join("run");
        let test = env::current_exe().context("looking for this test")?;
        let built = test.parent().and_then(|folder| folder.parent()).context("a test lies two folders deep")?;
        let program = built.join("local-parts");
        ensure!(program.is_file(), "{} is not built: run `make build`", program.display());
        let arguments = ["run".into(), "--port-base".into(), "0".into(), "--folder".into(), run.clone().into_os_string()];
        let launch = Launch::new("exchange-on-one-machine", program, arguments, Vec::new(), StopSignal::Terminate);
        let mut process = Process::start(&launch, folder.path())?;
        // Written last, when every part is ready.
        let file = run.join("endpoints.json");
        process.ready(READY_DEADLINE, async || file.is_file()).await?;
        let endpoints = serde_json::from_slice(&fs::read(&file)?).context("reading endpoints.json")?;
        Ok(Self { process, endpoints, _folder: folder })
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
