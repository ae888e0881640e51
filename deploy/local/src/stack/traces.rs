//! This module runs the receiver of spans, and names it to each program that exports spans.

use std::{env, net::SocketAddr};

use anyhow::{Context, Result};
use local_parts::{Launch, StopSignal};

use super::{
    layout::{StackLayout, local},
    readiness::{answers, ready},
    supervisor::Supervisor,
};

const PART: &str = "traces";
/// Shorter than the default of 5 s: a newcomer looks for the trace of the last request.
const EXPORT_EVERY_MS: &str = "1000";

pub fn url(layout: &StackLayout) -> String {
    format!("http://{}", local(layout.ports.traces))
}

pub fn launch_traces(layout: &StackLayout) -> Result<Launch> {
    let address: SocketAddr = local(layout.ports.traces).parse().context("the receiver's address")?;
    let program = env::current_exe().context("looking for this program")?;
    let arguments = ["traces".to_owned(), "--listen".to_owned(), address.to_string()];
    Ok(Launch::new(PART, program, arguments, Vec::new(), StopSignal::Terminate))
}

/// Makes a program export its spans.
pub fn exporting(mut launch: Launch, layout: &StackLayout) -> Launch {
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", url(layout)), ("OTEL_BSP_SCHEDULE_DELAY", EXPORT_EVERY_MS.to_owned())];
    launch.environment.extend(settings.map(|(name, value)| (name.to_owned(), value)));
    launch
}

/// Returns when it answers.
pub async fn start_traces(layout: &StackLayout, supervisor: &Supervisor) -> Result<()> {
    let pid = supervisor.start(PART).await?;
    let list = format!("{}/api/traces", url(layout));
    ready(PART, pid, &layout.log(PART), async || answers(&list, |_| true).await).await
}
