//! An SMS gateway of one's own: Kannel's bearerbox and smsbox, with its fakesmsc for the mobile network.
//!
//! The network's side is two connections, since one fakesmsc either waits for messages or sends its own: through the first one
//! everything goes out, through the second one a person's message comes in.

mod configuration;
mod network;

#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rand::random;

use crate::{
    binaries,
    folder::Folder,
    launch::{Launch, StopSignal},
    ports::free_ports,
    process::ChildProcess,
};

pub use network::SentSms;

const READY_DEADLINE: Duration = Duration::from_secs(30);

/// The destination of messages from people.
#[derive(Debug, Clone, Default)]
pub struct KannelOptions {
    /// The gateway sends a GET request to this URL for each message of a person, with `from`, `to`, `text`, `coding` and
    /// `id` as its query. `None` sends nothing. With `coding=2` the text is UTF-16 in big-endian order.
    pub inbound_url: Option<String>,
}

/// A running gateway. Dropping it ends it.
#[derive(Debug)]
pub struct Kannel {
    // Dropped in this order: clients before their servers, the folder last.
    network: Option<ChildProcess>,
    smsbox: Option<ChildProcess>,
    bearerbox: Option<ChildProcess>,
    access: SmsAccess,
    ports: KannelPorts,
    folder: Folder,
}

/// How to reach the gateway.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SmsAccess {
    /// The address of `sendsms`.
    pub sendsms_url: String,
    pub username: String,
    pub password: String,
}

#[derive(Debug, Clone, Copy)]
struct KannelPorts {
    admin: u16,
    smsbox: u16,
    sendsms: u16,
    outbound: u16,
    inbound: u16,
}

impl Kannel {
    /// Starts a gateway and waits until messages can go both ways.
    pub async fn start(options: KannelOptions) -> Result<Self> {
        let folder = Folder::throwaway("kannel")?;
        let [admin, smsbox, sendsms, outbound, inbound] = free_ports()?;
        let ports = KannelPorts { admin, smsbox, sendsms, outbound, inbound };
        let access = SmsAccess {
            sendsms_url: format!("http://127.0.0.1:{sendsms}/cgi-bin/sendsms"),
            username: "alerts".to_owned(),
            password: hex::encode(random::<[u8; 12]>()),
        };
        let text = configuration::text(folder.path(), ports, &access, options.inbound_url.as_deref());
        let file = folder.path().join("kannel.conf");
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let mut kannel = Self { network: None, smsbox: None, bearerbox: None, access, ports, folder };
        kannel.start_again().await?;
        Ok(kannel)
    }

    pub fn access(&self) -> &SmsAccess {
        &self.access
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every part of every message that reached the network, oldest first.
    pub fn sent(&self) -> Vec<SentSms> {
        network::sent(&self.log("network"))
    }

    /// Ends the gateway. Its stored messages and its address remain.
    pub async fn stop(&mut self) -> Result<()> {
        for part in [&mut self.network, &mut self.smsbox, &mut self.bearerbox] {
            if let Some(mut process) = part.take() {
                process.stop(StopSignal::Kill).await?;
            }
        }
        Ok(())
    }

    /// Takes the phone off the network, so that nothing is delivered. The gateway still accepts messages.
    pub async fn disconnect_network(&mut self) -> Result<()> {
        match self.network.take() {
            Some(mut process) => process.stop(StopSignal::Kill).await.map(drop),
            None => Ok(()),
        }
    }

    /// Connects the network again.
    pub async fn connect_network(&mut self) -> Result<()> {
        const WAITS: [&str; 5] = ["-m", "0", "-i", "1", "0 0 text nothing"];
        let port = self.ports.outbound.to_string();
        let launch = fakesmsc("network", ["-H", "127.0.0.1", "-r", &port].into_iter().chain(WAITS))?;
        let mut process = ChildProcess::start(&launch, self.folder.path())?;
        let status = self.status_url();
        process.ready(READY_DEADLINE, async || configuration::is_online(&status, configuration::OUTBOUND).await).await?;
        self.network = Some(process);
        Ok(())
    }

    /// Starts a stopped gateway at the same address.
    pub async fn start_again(&mut self) -> Result<()> {
        let file = self.folder.path().join("kannel.conf");
        let launch = |name, program| -> Result<Launch> {
            Ok(Launch::new(name, binaries::find(program)?, [file.as_os_str()], Vec::new(), StopSignal::Kill))
        };
        let mut bearerbox = ChildProcess::start(&launch("bearerbox", "bearerbox")?, self.folder.path())?;
        let status = self.status_url();
        bearerbox.ready(READY_DEADLINE, async || answers(&status).await).await?;
        self.bearerbox = Some(bearerbox);
        let mut smsbox = ChildProcess::start(&launch("smsbox", "smsbox")?, self.folder.path())?;
        let sendsms = self.access.sendsms_url.clone();
        smsbox.ready(READY_DEADLINE, async || reqwest::get(&sendsms).await.is_ok()).await?;
        self.smsbox = Some(smsbox);
        self.connect_network().await
    }

    /// A person's phone sends `text` to the number `to`. Returns when the gateway has taken it.
    pub async fn receive(&self, from: &str, to: &str, text: &str) -> Result<()> {
        let port = self.ports.inbound.to_string();
        let message = format!("{from} {to} {}", network::encoded(text));
        let arguments = ["-H", "127.0.0.1", "-r", &port, "-m", "1", "-i", "0.01", &message];
        // A unique name: each call begins with an empty log.
        let name = "phone";
        let _ = fs::remove_file(self.log(name));
        let before = self.received().await;
        let mut process = ChildProcess::start(&fakesmsc(name, arguments)?, self.folder.path())?;
        process.ready(READY_DEADLINE, async || self.received().await > before).await?;
        process.stop(StopSignal::Kill).await.map(drop)
    }

    async fn received(&self) -> u64 {
        configuration::received(&self.status_url()).await.unwrap_or(0)
    }

    fn status_url(&self) -> String {
        format!("http://127.0.0.1:{}/status.txt?password={}", self.ports.admin, self.access.password)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }
}

/// It ends when its input does.
fn fakesmsc<'a>(name: &'static str, arguments: impl IntoIterator<Item = &'a str>) -> Result<Launch> {
    Ok(Launch::new(name, binaries::find("fakesmsc")?, arguments, Vec::new(), StopSignal::Kill).with_open_input())
}

async fn answers(url: &str) -> bool {
    reqwest::get(url).await.is_ok_and(|reply| reply.status().is_success())
}
