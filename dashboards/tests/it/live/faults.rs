//! The fault table: each fault of a running exchange, from the fault to the message in the emulator, in bounded time.
//!
//! Allowed time: window of the rule + `for` + scrape + evaluation + `group_wait` + 5 s. The short form allows [`SLOW`] more, since
//! other tests share its machine.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use dashboards::rules;
use local_parts::find_program;
use serde_json::Value;
use tokio::process::Command;

const SCRAPE: Duration = Duration::from_secs(5);
const EVALUATION: Duration = Duration::from_secs(5);
const GROUP_WAIT: Duration = Duration::from_secs(1);
const MARGIN: Duration = Duration::from_secs(5);
pub const SLOW: Duration = Duration::from_secs(60);
/// Until a part answers again and its alert is over.
const HEALED: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(250);

/// What happens to the parts.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Ended, and not started again.
    Stopped,
    /// Alive, and doing nothing.
    Hung,
}

pub struct Fault {
    pub name: &'static str,
    kind: Kind,
    parts: &'static [&'static str],
    /// The alert whose message names the cause.
    alert: &'static str,
    /// Longest range that the alert looks at before it is true.
    window: Duration,
    /// Part of the table of `make test` too.
    pub short: bool,
}

const fn row(name: &'static str, kind: Kind, parts: &'static [&'static str], alert: &'static str, window: u64) -> Fault {
    Fault { name, kind, parts, alert, window: Duration::from_secs(window), short: false }
}

const fn short(row: Fault) -> Fault {
    Fault { short: true, ..row }
}

use Kind::{Hung, Stopped};

/// Prometheus marks the series of a target as stale at its next scrape, so a stopped part needs no window.
pub const TABLE: &[Fault] = &[
    short(row("both servers stopped", Stopped, &["serve", "serve-2"], "ExchangeNoLeader", 0)),
    short(row("PostgreSQL stopped", Stopped, &["postgres"], "PostgresDown", 0)),
    row("one of two servers stopped", Stopped, &["serve-2"], "ExchangeTargetDown", 0),
    row("worker stopped", Stopped, &["worker"], "ExchangeNoProjector", 0),
    row("worker hangs", Hung, &["worker"], "ExchangeTargetDown", 5),
    row("S3 stopped", Stopped, &["object-store"], "ObjectStoreDown", 0),
    row("backup agent stopped", Stopped, &["backup"], "BackupTargetDown", 0),
    row("relay dead", Stopped, &["relay"], "LogshipTargetDown", 0),
    row("the proxy dead", Stopped, &["nginx"], "ExchangeProbeFailing", 120),
    row("probe stopped", Stopped, &["probe"], "ExchangeProbeFailing", 300),
    row("HAProxy dead", Stopped, &["haproxy"], "ExchangeNoLeader", 5),
    row("alert bot stopped", Stopped, &["alertbot"], "AlertbotDown", 0),
];

/// A run whose parts can be ended.
pub struct Site {
    configuration: PathBuf,
    telegram: String,
    viewer: String,
}

impl Site {
    pub fn new(run: &Path, endpoints: &Value) -> Result<Self> {
        let text =
            |name: &str| endpoints[name].as_str().map(str::to_owned).with_context(|| format!("endpoints.json names no {name}"));
        Ok(Self { configuration: run.join("supervisord.conf"), telegram: text("telegram")?, viewer: text("viewer")? })
    }

    /// Runs the rows, prints the table and returns what is wrong.
    pub async fn run(&self, faults: impl IntoIterator<Item = &'static Fault>, more: Duration) -> Vec<String> {
        println!("{:<28} {:<24} {:>9} {:>9}", "fault", "alert", "seconds", "allowed");
        let mut wrong = Vec::new();
        for fault in faults {
            match self.one(fault, more).await {
                Ok(()) => {}
                Err(error) => wrong.push(format!("{}: {error:#}", fault.name)),
            }
        }
        wrong
    }

    async fn one(&self, fault: &Fault, more: Duration) -> Result<()> {
        let before = self.messages(fault.alert).await?.len();
        let (begun, allowed) = (Instant::now(), fault.allowed()?);
        self.begin(fault).await?;
        let shown = loop {
            let messages = self.messages(fault.alert).await?;
            if messages.len() > before {
                break Ok((begun.elapsed(), messages));
            }
            if begun.elapsed() > allowed + more {
                break Err(begun.elapsed());
            }
            tokio::time::sleep(POLL).await;
        };
        self.end(fault).await?;
        let Ok((took, messages)) = shown else {
            bail!("no message about {} after {} s", fault.alert, (allowed + more).as_secs());
        };
        println!("{:<28} {:<24} {:>9.1} {:>9}", fault.name, fault.alert, took.as_secs_f64(), allowed.as_secs());
        self.links_open(&messages[before]).await?;
        self.is_over(fault).await
    }

    async fn begin(&self, fault: &Fault) -> Result<()> {
        for part in fault.parts {
            match fault.kind {
                Stopped => self.supervisor(&["stop", part]).await?,
                Hung => self.supervisor(&["signal", "STOP", part]).await?,
            }
        }
        Ok(())
    }

    async fn end(&self, fault: &Fault) -> Result<()> {
        for part in fault.parts {
            match fault.kind {
                Stopped => self.supervisor(&["start", part]).await?,
                Hung => self.supervisor(&["signal", "CONT", part]).await?,
            }
        }
        Ok(())
    }

    async fn supervisor(&self, arguments: &[&str]) -> Result<()> {
        let program = find_program("supervisorctl").map_err(|missing| anyhow::anyhow!("{missing}"))?;
        let output = Command::new(program).arg("-c").arg(&self.configuration).args(arguments).output().await?;
        ensure!(output.status.success(), "supervisorctl {arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    /// Messages of all chats whose first lines name the alert.
    async fn messages(&self, alert: &str) -> Result<Vec<Value>> {
        let world: Value = reqwest::get(format!("{}/control/world", self.telegram)).await?.json().await?;
        let messages = world["chats"].as_array().into_iter().flatten().filter_map(|chat| chat["messages"].as_array()).flatten();
        let about = |message: &&Value| message["text"].as_str().is_some_and(|text| text.contains(alert));
        Ok(messages.filter(about).cloned().collect())
    }

    /// Every link of a message that leads to this machine answers with success.
    async fn links_open(&self, message: &Value) -> Result<()> {
        let entities = message["entities"].as_array().cloned().unwrap_or_default();
        let buttons =
            message["keyboard"]["inline_keyboard"].as_array().into_iter().flatten().filter_map(Value::as_array).flatten();
        let links = entities.iter().chain(buttons).filter_map(|part| part["url"].as_str());
        let links: Vec<&str> = links.filter(|link| link.starts_with("http://127.0.0.1")).collect();
        ensure!(links.iter().any(|link| link.starts_with(&self.viewer)), "no link leads to the viewer: {message}");
        for link in links {
            let reply = reqwest::get(link).await.with_context(|| link.to_owned())?;
            ensure!(reply.status().is_success(), "{link} answered {}", reply.status());
        }
        Ok(())
    }

    /// Waits until the newest message says that the alert is over: faults must not run into each other.
    async fn is_over(&self, fault: &Fault) -> Result<()> {
        let end = Instant::now() + HEALED;
        while !is_over(&self.messages(fault.alert).await?) {
            ensure!(Instant::now() < end, "{} is not over {} s after its fault", fault.alert, HEALED.as_secs());
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// The alert bot marks the end by a sign, Alertmanager's own receiver by a word.
fn is_over(messages: &[Value]) -> bool {
    let at = |message: &&Value| (message["edited"].as_i64().or(message["date"].as_i64()), message["id"].as_i64());
    let newest = messages.iter().max_by_key(at).and_then(|message| message["text"].as_str());
    newest.is_some_and(|text| text.contains('🟢') || text.contains("RESOLVED"))
}

impl Fault {
    fn allowed(&self) -> Result<Duration> {
        let alert = rules::alerts().into_iter().find(|alert| alert.alert == self.alert).context("the alert exists")?;
        Ok(self.window + seconds(&alert.wait)? + SCRAPE + EVALUATION + GROUP_WAIT + MARGIN)
    }
}

/// A duration of the rules: a number and one unit.
fn seconds(text: &str) -> Result<Duration> {
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = text.split_at(text.len() - 1);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => bail!("{text:?} has an unknown unit"),
    };
    Ok(Duration::from_secs(number.parse::<u64>()? * factor))
}
