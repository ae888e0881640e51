//! A run whose parts can be ended, and the way of one row through it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use dashboards::rules::{self, AlertRule};
use futures::future::join_all;
use local_parts::find_program;
use serde_json::Value;
use tokio::{process::Command, task::JoinHandle};

use super::{
    Act, Fault, HEALED, OF_THE_MACHINE, OF_THE_ROWS_BEFORE, POLL, WATCHED,
    chat::{Chat, Incident, Known},
    discovery::{Discovery, Imposters, SECOND},
    imposter::Imposter,
    orders::Orders,
};

/// What the second namespace's server serves.
const SECOND_SERVES: &str = "exchange_engine_leader 1\nexchange_worker_projecting 1\n";
/// Between two kills of a crash loop.
const KILLED_EVERY: Duration = Duration::from_secs(8);
/// Until a part that was started again answers.
const ANSWERS: Duration = Duration::from_secs(60);
/// The simulator trades.
const SIMULATOR: &str = "simulator";

pub struct Site {
    configuration: PathBuf,
    endpoints: Value,
    viewer: String,
    chat: Chat,
    discovery: Discovery,
    /// As they were at the start of the run.
    alerts: Vec<AlertRule>,
    exporter: Imposter,
    _second: Imposter,
}

/// Ends with it.
struct Ongoing(Option<JoinHandle<()>>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Site {
    /// Adds a second namespace and an exporter to what Prometheus scrapes.
    pub async fn new(run: &Path, endpoints: &Value) -> Result<Self> {
        let text =
            |name: &str| endpoints[name].as_str().map(str::to_owned).with_context(|| format!("endpoints.json names no {name}"));
        let (exporter, second) = (Imposter::start().await?, Imposter::start().await?);
        second.serve(SECOND_SERVES);
        let imposters = Imposters { exporter: exporter.address.clone(), second: second.address.clone() };
        let prometheus = text("prometheus")?;
        let site = Self {
            configuration: run.join("supervisord.conf"),
            viewer: text("viewer")?,
            chat: Chat::new(endpoints)?,
            discovery: Discovery::begin(run, &prometheus, &imposters).await?,
            endpoints: endpoints.clone(),
            alerts: rules::alerts(),
            exporter,
            _second: second,
        };
        site.until_scraped(&prometheus).await?;
        Ok(site)
    }

    async fn until_scraped(&self, prometheus: &str) -> Result<()> {
        let query = format!(
            "{prometheus}/api/v1/query?query=up%7Bnamespace%3D%22second%22%7D%20and%20on(namespace)%20expected_targets%20offset%201m"
        );
        let end = Instant::now() + HEALED;
        loop {
            let answer: Value = reqwest::get(&query).await?.json().await?;
            if answer["data"]["result"].as_array().is_some_and(|found| !found.is_empty()) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "Prometheus does not scrape the job {SECOND}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Incidents of the chats that have begun until now.
    async fn known(&self) -> Result<Known> {
        self.chat.known().await
    }

    /// Runs the groups of rows, prints the table and returns what is wrong. `only`: names of rows; empty for all.
    pub async fn run(&self, groups: &'static [&'static [Fault]], only: &[String], more: Duration, watched: bool) -> Vec<String> {
        println!("{:<34} {:<26} {:>9} {:>9}", "fault", "alert", "seconds", "allowed");
        let mut wrong = Vec::new();
        for group in groups {
            let rows: Vec<_> = group.iter().filter(|row| only.is_empty() || only.iter().any(|name| name == row.name)).collect();
            let before = match self.known().await {
                Ok(known) => known,
                Err(error) => return vec![format!("reading the chats: {error:#}")],
            };
            let expected: BTreeSet<_> = rows.iter().map(|row| row.alert).collect();
            let watched = if watched { WATCHED } else { Duration::ZERO };
            let results = join_all(rows.iter().map(|row| self.row(row, &before, &expected, more, watched))).await;
            for (row, result) in rows.iter().zip(results) {
                if let Err(error) = result {
                    println!("{}: {error:#}", row.name);
                    wrong.push(format!("{}: {error:#}", row.name));
                }
            }
        }
        wrong
    }

    async fn row(
        &self,
        fault: &Fault,
        before: &Known,
        expected: &BTreeSet<&str>,
        more: Duration,
        watched: Duration,
    ) -> Result<()> {
        let allowed = fault.allowed(&self.alerts)?;
        let ongoing = self.begin(fault).await?;
        let begun = Instant::now();
        let shown = loop {
            let found = self.new_incidents(before).await?.into_iter().find(|incident| fault.is_named_by(incident));
            if let Some(incident) = found {
                break Some((begun.elapsed(), incident));
            }
            if begun.elapsed() > allowed + more {
                break None;
            }
            tokio::time::sleep(POLL).await;
        };
        tokio::time::sleep(watched).await;
        let incidents = self.new_incidents(before).await;
        drop(ongoing);
        self.end(fault).await?;
        let incidents = incidents?;
        let own = incidents.iter().filter(|incident| fault.is_named_by(incident)).count();
        let names: Vec<String> = incidents.into_iter().map(|incident| incident.alert).collect();
        let Some((took, incident)) = shown else {
            bail!("no message about {} after {} s, but about {names:?}", fault.alert, (allowed + more).as_secs());
        };
        println!("{:<34} {:<26} {:>9.1} {:>9}", fault.name, fault.alert, took.as_secs_f64(), allowed.as_secs());
        self.links_open(&incident.message).await?;
        let may_appear =
            |name: &str| expected.contains(name) || OF_THE_MACHINE.contains(&name) || OF_THE_ROWS_BEFORE.contains(&name);
        let strangers: Vec<_> = names.iter().filter(|name| !may_appear(name)).collect();
        let over = self.is_over(fault, before).await;
        ensure!(strangers.is_empty(), "messages that do not name the cause: {strangers:?}");
        ensure!(own == 1, "{own} messages about {}", fault.alert);
        over
    }

    async fn new_incidents(&self, before: &Known) -> Result<Vec<Incident>> {
        Ok(self.chat.incidents().await?.into_iter().filter(|incident| !before.contains(&incident.key)).collect())
    }

    async fn begin(&self, fault: &Fault) -> Result<Ongoing> {
        let mut task = None;
        match fault.act {
            Act::Stop(parts) => self.each(parts, &["stop"]).await?,
            Act::Hang(parts) => self.each(parts, &["signal", "STOP"]).await?,
            Act::Forget(job) => self.discovery.forget(job).await?,
            Act::StopAndForget(part, job) => {
                self.each(&[part], &["stop"]).await?;
                self.discovery.forget(job).await?;
            }
            Act::CrashLoop(part) => {
                let configuration = self.configuration.clone();
                task = Some(tokio::spawn(async move {
                    loop {
                        // Refused while the part is being started again.
                        let _ = supervisor(&configuration, &["signal", "KILL", part]).await;
                        tokio::time::sleep(KILLED_EVERY).await;
                    }
                }));
            }
            Act::Serve(series) => self.exporter.serve(series),
            Act::RestingOrders => {
                self.each(&[SIMULATOR], &["signal", "STOP"]).await?;
                let orders = Orders::new(&self.endpoints)?;
                task = Some(tokio::spawn(async move {
                    if let Err(error) = orders.place().await {
                        println!("resting orders ended: {error:#}");
                    }
                }));
            }
        }
        Ok(Ongoing(task))
    }

    async fn end(&self, fault: &Fault) -> Result<()> {
        match fault.act {
            Act::Stop(parts) => self.each(parts, &["start"]).await?,
            Act::Hang(parts) => self.each(parts, &["signal", "CONT"]).await?,
            Act::Forget(job) => self.discovery.remember(job).await?,
            Act::StopAndForget(part, job) => {
                self.each(&[part], &["start"]).await?;
                self.discovery.remember(job).await?;
            }
            Act::CrashLoop(_) => {}
            Act::Serve(series) => self.exporter.end(series),
            Act::RestingOrders => self.each(&[SIMULATOR], &["signal", "CONT"]).await?,
        }
        Ok(())
    }

    async fn each(&self, parts: &[&str], order: &[&str]) -> Result<()> {
        for part in parts {
            supervisor(&self.configuration, &[order, &[part]].concat()).await?;
        }
        Ok(())
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
            // The part that it leads to may have just been started again.
            let end = Instant::now() + ANSWERS;
            loop {
                match reqwest::get(link).await {
                    Ok(reply) if reply.status().is_success() => break,
                    Ok(reply) => ensure!(Instant::now() < end, "{link} answered {}", reply.status()),
                    Err(error) => ensure!(Instant::now() < end, "{link}: {error}"),
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Waits until the alert is over: faults must not run into each other.
    async fn is_over(&self, fault: &Fault, before: &Known) -> Result<()> {
        let end = Instant::now() + HEALED;
        while !fault.lingers && !self.ended(fault, before).await? {
            ensure!(Instant::now() < end, "{} is not over {} s after its fault", fault.alert, HEALED.as_secs());
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The alert bot marks the end by a sign, Alertmanager's own receiver by a message.
    async fn ended(&self, fault: &Fault, before: &Known) -> Result<bool> {
        let own: Vec<_> = self.new_incidents(before).await?.into_iter().filter(|incident| fault.is_named_by(incident)).collect();
        Ok(own.iter().all(|incident| incident.is_over) || self.chat.reports_end(fault.alert, &own).await?)
    }
}

async fn supervisor(configuration: &Path, arguments: &[&str]) -> Result<()> {
    let program = find_program("supervisorctl").map_err(|missing| anyhow::anyhow!("{missing}"))?;
    let output = Command::new(program).arg("-c").arg(configuration).args(arguments).output().await?;
    ensure!(output.status.success(), "supervisorctl {arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
