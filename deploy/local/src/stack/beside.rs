//! This module runs a command with a separate exchange: server and worker on free ports, two demo accounts, and no
//! traffic except the command's. It does not touch the parts of `make run` and `make up`.

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Context, Result};
use local_parts::{Folder, log_tail};

use super::{
    exchange,
    layout::{self, StackLayout},
    parts::REPLICAS,
    readiness::Steps,
    up::{prepare, until_signalled},
};
use crate::command;

/// Where the command finds `endpoints.json`.
const TEST_ENDPOINTS: &str = "TEST_ENDPOINTS";
/// Where it finds the exchange's program, for `exchange admin`; its settings are in the environment.
const TEST_EXCHANGE: &str = "TEST_EXCHANGE";

/// Ends with the command's status; everything else has ended by then.
pub async fn beside(command: &[OsString]) -> Result<ExitCode> {
    const FREE_PORTS: u16 = 0;
    let folder = Folder::throwaway("exchange")?;
    let layout = StackLayout::new(FREE_PORTS, Some(folder.path().join("run")))?;
    let (parts, supervisor) = prepare(&layout).await?;
    let mut child = supervisor.start_as_child(&layout.log("supervisord-output")).await?;
    let running = async {
        let (endpoints, _) = exchange::start_exchange(&layout, &parts, &supervisor, &Steps::begin()).await?;
        endpoints.write(&layout.endpoints())?;
        let own = [
            (TEST_ENDPOINTS.into(), layout.endpoints().into_os_string()),
            (TEST_EXCHANGE.into(), layout::program("exchange")?.into_os_string()),
        ];
        let settings = parts.environment.iter().map(|(name, value)| (name.into(), value.into()));
        command::run(command, settings.chain(own)).await
    };
    let outcome = until_signalled(running).await;
    supervisor.stop().await?;
    child.wait().await.context("waiting for supervisord")?;
    if !outcome.as_ref().is_ok_and(|status| *status == ExitCode::SUCCESS) {
        // The folder goes with this process.
        for part in REPLICAS.into_iter().chain(["worker"]) {
            eprintln!("{part}: {}", log_tail(&layout.log(part)));
        }
    }
    outcome
}
