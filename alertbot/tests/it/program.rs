//! The program as a process of its own, to be killed and to be watched.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use local_parts::{ChildProcess, Launch, StopSignal, free_ports};
use serde_json::Value;

use crate::bot::{DEADLINE, Settings, WEBHOOK_TOKEN, until};

/// `alertbot serve` at addresses that stay the same over its restarts.
pub struct Program {
    pub url: String,
    pub admin: String,
    pub client: reqwest::Client,
    folder: tempfile::TempDir,
    process: Option<ChildProcess>,
}

/// No webhook takes this long.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

impl Program {
    /// `under` runs it under another program: `strace` and its arguments.
    pub async fn start(settings: &mut Settings, under: &[OsString]) -> Self {
        if settings.ports == [0, 0] {
            settings.ports = free_ports().unwrap();
        }
        let client = reqwest::Client::builder().timeout(POST_TIMEOUT).build().unwrap();
        let [listen, admin] = settings.ports.map(|port| format!("http://127.0.0.1:{port}"));
        let folder = tempfile::tempdir().unwrap();
        let mut program = Self { url: listen, admin, client, folder, process: None };
        program.begin(settings, under).await;
        program
    }

    /// Starts it again after its end, at the same addresses.
    pub async fn begin(&mut self, settings: &Settings, under: &[OsString]) {
        assert!(self.process.is_none(), "it runs already");
        let file = self.folder.path().join("alertbot.yaml");
        std::fs::write(&file, settings.yaml()).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_alertbot"));
        let own: [OsString; 3] = ["serve".into(), "--config".into(), file.into()];
        let mut words: Vec<OsString> = under.to_vec();
        words.push(program.into());
        words.extend(own);
        let launched = PathBuf::from(words.remove(0));
        let variables = settings.variables().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let launch = Launch::new("alertbot", launched, words, variables, StopSignal::Kill);
        let mut process = ChildProcess::start(&launch, self.folder.path()).unwrap();
        let (client, ready) = (self.client.clone(), format!("{}/readyz", self.admin));
        let answers = async || client.get(&ready).send().await.is_ok_and(|reply| reply.status().is_success());
        process.ready(DEADLINE, answers).await.unwrap();
        self.process = Some(process);
    }

    /// Replaces the configuration file, as an editor or Kubernetes does.
    #[allow(dead_code, reason = "the benchmark shares this file")]
    pub fn configure(&self, yaml: &str) {
        let file = self.folder.path().join("alertbot.yaml");
        let new = self.folder.path().join("alertbot.yaml.new");
        std::fs::write(&new, yaml).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    #[allow(dead_code, reason = "the benchmark asks for it")]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().pid()
    }

    pub async fn kill(&mut self) {
        self.process.take().unwrap().stop(StopSignal::Kill).await.unwrap();
        // Under another program it ends a moment after that one.
        let (client, live) = (self.client.clone(), format!("{}/livez", self.admin));
        until("its port is free", async || client.get(&live).send().await.is_err()).await;
    }

    /// Posts a webhook; its status, or none when there was no answer.
    pub async fn post(&self, payload: &Value) -> Option<u16> {
        post(&self.client, &self.url, payload).await
    }

    /// As [`crate::bot::Bot::metric`].
    pub async fn metric(&self, sample: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Posts a webhook to whichever process listens there now.
pub async fn post(client: &reqwest::Client, url: &str, payload: &Value) -> Option<u16> {
    let request = client.post(format!("{url}/webhook/main")).bearer_auth(WEBHOOK_TOKEN).json(payload);
    Some(request.send().await.ok()?.status().as_u16())
}
