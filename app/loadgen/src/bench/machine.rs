//! This module describes the machine: processors, memory, kernel, PostgreSQL and its durability. It must not compute a figure.

use anyhow::{Result, ensure};
use sqlx::{Connection, PgConnection};
use std::fmt::Write;

/// A few lines. An arm without durability is an error: its comparison would be meaningless.
pub async fn describe(database: &str) -> Result<String> {
    let processors = std::thread::available_parallelism()?;
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, m)| m);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut text = format!("{processors} processors ({model}), {} GB, Linux {}", memory / 1_000_000, kernel.trim());

    let mut connection = PgConnection::connect(database).await?;
    for name in ["server_version", "fsync", "synchronous_commit", "wal_sync_method", "shared_buffers", "full_page_writes"] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut connection).await?;
        let must_be_on = matches!(name, "fsync" | "synchronous_commit");
        ensure!(!must_be_on || value == "on", "{name} is {value}: the benchmark measures durable commits only");
        // Writing to a string cannot fail.
        let _ = write!(text, "{} {name} {value}", if name == "server_version" { "\nPostgreSQL:" } else { "," });
    }
    connection.close().await?;
    Ok(text)
}
