//! A bot for one test: in this process, on free ports, with a strict Telegram.

use std::{path::PathBuf, sync::LazyLock, time::Duration};

use alertbot::{
    config,
    serve::{self, Listeners},
};
use serde_json::Value;
use service_kit::{
    shutdown::Shutdown,
    telemetry::{self, Service, TelemetryGuard},
};
use telegram_emulator::{ChatMessage, Emulator, Seed};
use tokio::{net::TcpListener, task::JoinHandle};

/// Ample on a busy machine; a test that passes does not wait for it.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Chats and people of the emulator's demonstration.
pub const OPERATIONS: i64 = -1_001_000_000_001;
pub const NIGHT: i64 = -4_001;
pub const ADA: i64 = 11;
pub const BEHRANG: i64 = 12;
pub const WEBHOOK_TOKEN: &str = "webhook-token-of-tests";

/// One for the whole process.
static TELEMETRY: LazyLock<TelemetryGuard> = LazyLock::new(|| {
    let settings = telemetry::TelemetrySettings { level: "error".into(), ..telemetry::TelemetrySettings::default() };
    telemetry::init(Service { name: "alertbot", version: "test" }, &settings).expect("telemetry starts once")
});

/// A running bot. Dropping it ends it.
pub struct Bot {
    pub url: String,
    pub admin: String,
    pub client: reqwest::Client,
    shutdown: Shutdown,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

/// Settings that a test changes.
pub struct Settings {
    pub telegram: String,
    pub store: PathBuf,
    /// YAML with `routes`, `people` and all other sections except bots, chats, store and Alertmanagers.
    pub rest: String,
    /// YAML below `alertmanagers[0]`.
    pub alertmanager: String,
    pub store_bytes: &'static str,
    /// Where it listens: webhooks, and metrics. 0 is a free one.
    pub ports: [u16; 2],
    /// Chats in addition to the two of the demonstration: names and ids.
    pub more_chats: Vec<(String, i64)>,
    /// Variables in addition to those of every test.
    pub secrets: Vec<(&'static str, String)>,
}

pub const ROUTES: &str = "
routes:
  - name: everything
    chats: [operations]
";

impl Settings {
    pub fn new(emulator: &Emulator, folder: &tempfile::TempDir) -> Self {
        Self {
            telegram: emulator.url(),
            store: folder.path().join("alertbot.db"),
            rest: ROUTES.into(),
            alertmanager: String::new(),
            store_bytes: "1GiB",
            ports: [0, 0],
            more_chats: Vec::new(),
            secrets: Vec::new(),
        }
    }

    pub fn yaml(&self) -> String {
        let more: String = self.more_chats.iter().map(|(name, id)| format!("  - name: {name}\n    id: {id}\n")).collect();
        let [listen, admin] = self.ports;
        format!(
            "
listen: 127.0.0.1:{listen}
admin_listen: 127.0.0.1:{admin}
store:
  path: {store}
  bytes: {bytes}
alertmanagers:
  - name: main
    webhook_credentials:
      - bearer: ${{ALERTBOT_WEBHOOK_TOKEN}}
{alertmanager}
bots:
  - name: main
    token: ${{ALERTBOT_TELEGRAM_TOKEN}}
    api_url: {telegram}
    timeout: 5s
chats:
  - name: operations
    id: {OPERATIONS}
  - name: night
    id: {NIGHT}
{more}{rest}
",
            store = self.store.display(),
            bytes = self.store_bytes,
            alertmanager = self.alertmanager,
            telegram = self.telegram,
            rest = self.rest,
        )
    }

    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let always = [
            ("ALERTBOT_WEBHOOK_TOKEN", WEBHOOK_TOKEN.into()),
            ("ALERTBOT_TELEGRAM_TOKEN", Seed::demo().bots[0].token.clone()),
            ("ALERTBOT_SHUTDOWN_DEADLINE", "10s".into()),
        ];
        always.into_iter().chain(self.secrets.clone()).collect()
    }
}

impl Bot {
    pub async fn start(settings: &Settings) -> Self {
        let config = match config::parse("test.yaml", &settings.yaml(), settings.variables()) {
            Ok(config) => config,
            Err(faults) => panic!("{faults}"),
        };
        let listeners = Listeners {
            http: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            admin: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let url = format!("http://{}", listeners.http.local_addr().unwrap());
        let admin = format!("http://{}", listeners.admin.local_addr().unwrap());
        let shutdown = Shutdown::new(Duration::from_secs(30));
        let running = tokio::spawn(serve::run_on(listeners, config, TELEMETRY.log_level(), shutdown.clone()));
        let client = reqwest::Client::new();
        let bot = Self { url, admin, client, shutdown, running: Some(running) };
        until("the bot is ready", async || bot.ready().await).await;
        bot
    }

    async fn ready(&self) -> bool {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            panic!("the bot ended at its start");
        }
        let reply = self.client.get(format!("{}/readyz", self.admin)).send().await;
        reply.is_ok_and(|reply| reply.status().is_success())
    }

    /// Posts a webhook; its status.
    pub async fn post(&self, payload: &Value) -> u16 {
        self.post_with(payload, WEBHOOK_TOKEN).await
    }

    pub async fn post_with(&self, payload: &Value, token: &str) -> u16 {
        let request = self.client.post(format!("{}/webhook/main", self.url)).bearer_auth(token).json(payload);
        request.send().await.unwrap().status().as_u16()
    }

    /// Ends it as SIGTERM does, and waits for its end.
    pub async fn stop(mut self) {
        self.shutdown.begin("the test is over");
        self.shutdown.drained().await;
        if let Some(running) = self.running.take() {
            running.await.unwrap().unwrap();
        }
    }

    /// One sample of `/metrics`, by name and labels as they are written there; 0 when it is absent.
    pub async fn metric(&self, sample: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

/// Until the condition holds.
///
/// # Panics
/// With `what` when the deadline passes.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = std::time::Instant::now() + DEADLINE;
    while !holds().await {
        assert!(std::time::Instant::now() < end, "not within {} s: {what}", DEADLINE.as_secs());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The first message of a chat whose text holds all of these.
pub async fn message_with(emulator: &Emulator, chat: i64, parts: &[&str]) -> ChatMessage {
    let found = emulator.until(DEADLINE, |world| {
        world.chats[&chat].messages().find(|message| parts.iter().all(|part| message.text.contains(part))).cloned()
    });
    match found.await {
        Ok(message) => message,
        Err(_) => {
            let texts: Vec<String> = emulator.messages(chat).into_iter().map(|message| message.text).collect();
            panic!("no message with {parts:?} among {texts:#?}")
        }
    }
}
