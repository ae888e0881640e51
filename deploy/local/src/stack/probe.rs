//! This module runs `exchange probe` through the proxy, as a user would. Its key does not exist before the accounts do, so it comes
//! from files.

use std::fs;

use anyhow::{Context, Result};
use local_parts::{Launch, StopSignal};

use super::{
    endpoints::AccountEndpoint,
    layout::{self, StackLayout, local},
    readiness::{answers, ready},
    supervisor::{Supervisor, write_private},
};

const PART: &str = "probe";
const API_KEY: &str = "api-key";
const SECRET_KEY: &str = "secret-key";

pub fn launch_probe(layout: &StackLayout) -> Result<Launch> {
    let file = |name: &str| layout.folder.join(PART).join(name).display().to_string();
    let environment = [
        ("EXCHANGE_ADMIN_LISTEN", local(layout.ports.probe_admin)),
        ("EXCHANGE_PROBE_URL", format!("http://{}", local(layout.ports.rest))),
        ("EXCHANGE_PROBE_API_KEY_FILE", file(API_KEY)),
        ("EXCHANGE_PROBE_SECRET_KEY_FILE", file(SECRET_KEY)),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
    Ok(Launch::new(PART, layout::program("exchange")?, ["probe"], environment, StopSignal::Terminate))
}

pub fn metrics(layout: &StackLayout) -> String {
    format!("http://{}/metrics", local(layout.ports.probe_admin))
}

/// Returns its process id once it has placed, read and cancelled an order.
pub async fn start_probe(layout: &StackLayout, supervisor: &Supervisor, account: &AccountEndpoint) -> Result<u32> {
    let folder = layout.folder.join(PART);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    write_private(&folder.join(API_KEY), &account.api_key)?;
    write_private(&folder.join(SECRET_KEY), &account.secret_key)?;
    let pid = supervisor.start(PART).await?;
    let metrics = metrics(layout);
    let succeeds = |body: &str| body.lines().any(|line| line.starts_with(OK) && !line.ends_with(" 0"));
    ready(PART, pid, &layout.log(PART), async || answers(&metrics, succeeds).await).await?;
    Ok(pid)
}

const OK: &str = "exchange_probe_rounds_total{result=\"ok\"}";
