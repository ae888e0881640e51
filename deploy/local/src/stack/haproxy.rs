//! This module runs HAProxy in front of PostgreSQL, as on the cluster. The exchange connects through it.

use std::fs;

use anyhow::{Context, Result};
use local_parts::{Launch, StopSignal, find_program};

use super::layout::StackLayout;

pub fn launch_haproxy(layout: &StackLayout) -> Result<Launch> {
    let folder = layout.folder.join("haproxy");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration(layout)).with_context(|| format!("writing {}", file.display()))?;
    // `-db`: in the foreground.
    let arguments = ["-db".into(), "-f".into(), file.into_os_string()];
    Ok(Launch::new("haproxy", find_program("haproxy")?, arguments, Vec::new(), StopSignal::Terminate))
}

fn configuration(layout: &StackLayout) -> String {
    let ports = layout.ports;
    format!(
        "global
    maxconn 1000

defaults
    mode tcp
    timeout connect 1s
    # An idle connection of a pool must not be closed; PostgreSQL's own keepalives find a broken one.
    timeout client 24h
    timeout server 24h
    timeout check 1s

frontend postgres
    bind 127.0.0.1:{listen}
    default_backend postgres

backend postgres
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
    server primary 127.0.0.1:{postgres} check

frontend metrics
    bind 127.0.0.1:{metrics}
    mode http
    timeout client 10s
    http-request use-service prometheus-exporter if {{ path /metrics }}
",
        listen = ports.haproxy,
        postgres = ports.postgres,
        metrics = ports.haproxy_metrics,
    )
}
