//! This module measures processor time: of `gzip -dc`, and of the relay as a process.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use local_parts::{ChildProcess, Launch, StopSignal, free_ports};

use crate::chunks::STREAM;

/// Ticks of `/proc/<pid>/stat` per second. The kernel reports hundredths on every machine.
const TICKS: f64 = 100.0;
const KIBIBYTES: f64 = 1024.0;
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// Returns seconds of processor time per chunk of `gzip -dc`. One process reads all chunks, so its start has little effect.
pub fn gzip(chunks: &[Bytes], times: usize) -> Result<f64> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let names: Vec<PathBuf> = (0..chunks.len()).map(|number| folder.path().join(format!("{number}.gz"))).collect();
    for (name, chunk) in names.iter().zip(chunks) {
        fs::write(name, chunk).context("writing a chunk")?;
    }
    let before = ticks(std::process::id(), Whose::Children)?;
    let repeated = names.iter().cycle().take(names.len() * times);
    let status = Command::new("gzip").arg("-dc").args(repeated).stdout(Stdio::null()).status().context("running gzip")?;
    ensure!(status.success(), "gzip ended with {status}");
    Ok((ticks(std::process::id(), Whose::Children)? - before) / (chunks.len() * times) as f64)
}

pub struct Relay {
    process: ChildProcess,
    url: String,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Relay {
    pub async fn start(elasticsearch: &str) -> Result<Self> {
        let [listen, admin]: [u16; 2] = free_ports()?;
        let settings = [
            ("LOGSHIP_ELASTICSEARCH_URL", elasticsearch.to_owned()),
            ("LOGSHIP_RELAY_LISTEN", format!("127.0.0.1:{listen}")),
            ("LOGSHIP_ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
            ("LOGSHIP_RELAY_STREAMS", STREAM.to_owned()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
        let folder = tempfile::tempdir().context("making a folder")?;
        let program = PathBuf::from(env!("CARGO_BIN_EXE_logship"));
        let launch = Launch::new("logship", program, ["relay"], settings, StopSignal::Terminate);
        let mut process = ChildProcess::start(&launch, folder.path())?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let ready = format!("http://127.0.0.1:{admin}/readyz");
        process
            .ready(READY_DEADLINE, async || client.get(&ready).send().await.is_ok_and(|reply| reply.status().is_success()))
            .await?;
        Ok(Self { process, url: format!("http://127.0.0.1:{listen}/_bulk"), client, folder })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn send(&self, chunks: &[Bytes]) -> Result<()> {
        send(&self.client, &self.url, chunks)
            .await
            .with_context(|| fs::read_to_string(self.folder.path().join("logship.log")).unwrap_or_default())
    }

    /// Returns seconds of processor time per chunk.
    pub async fn measure(&mut self, chunks: &[Bytes], times: usize) -> Result<f64> {
        let before = ticks(self.process.pid(), Whose::Own)?;
        for _ in 0..times {
            self.send(chunks).await?;
        }
        Ok((ticks(self.process.pid(), Whose::Own)? - before) / (chunks.len() * times) as f64)
    }

    /// Returns the peak memory in MiB (`VmHWM`).
    pub fn peak_memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().context("reading VmHWM")?;
        Ok(kibibytes / KIBIBYTES)
    }

    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(StopSignal::Terminate).await.map(drop)
    }
}

/// Two at a time, like the outputs of one Fluent Bit.
pub async fn send(client: &reqwest::Client, url: &str, chunks: &[Bytes]) -> Result<()> {
    for pair in chunks.chunks(2) {
        let sent = pair.iter().map(async |chunk| {
            let reply = client.post(url).header("content-encoding", "gzip").body(chunk.clone()).send().await?;
            let (status, body) = (reply.status(), reply.text().await?);
            ensure!(status.is_success() && body.contains("\"items\""), "{url} answered {status}: {body}");
            Ok(())
        });
        futures::future::try_join_all(sent).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
pub enum Whose {
    Own,
    /// Children that have ended and were waited for.
    Children,
}

/// Returns seconds of processor time, user and system.
pub fn ticks(pid: u32, whose: Whose) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The state follows the name, which is in brackets and may contain any character.
    let (_, rest) = stat.rsplit_once(") ").context("reading /proc/<pid>/stat")?;
    let skipped = match whose {
        Whose::Own => 11,
        Whose::Children => 13,
    };
    let ticks: Vec<f64> = rest.split(' ').skip(skipped).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS)
}
