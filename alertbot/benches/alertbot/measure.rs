//! The bot alone: from accepted to Telegram, how many alerts a second, how soon after a kill, how large.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use local_parts::{Prometheus, PrometheusOptions};
use serde_json::{Value, json};
use telegram_emulator::{ChatKind, ChatSeed, Emulator, RecordedCall, Seed, TelegramLimits};

use crate::{
    bot::Settings,
    payloads::{alert, group},
    program::{Program, post},
};

/// Chats that messages are spread over: each takes one a second.
pub const CHATS: usize = 25;
/// Connections that webhooks come in by.
const SENDERS: usize = 32;
const DEADLINE: Duration = Duration::from_secs(300);
const MEBIBYTE: f64 = 1024.0;

pub fn chat(number: usize) -> i64 {
    -1_001_000_001_000 - i64::try_from(number).unwrap_or(0)
}

/// A Telegram without limits: what is measured is the bot.
pub async fn telegram() -> Result<Emulator> {
    let mut seed = Seed::demo();
    seed.limits = TelegramLimits { off: true, ..TelegramLimits::default() };
    seed.chats.extend((0..CHATS).map(|number| ChatSeed::new(chat(number), ChatKind::Supergroup, &format!("c{number}"))));
    Emulator::start(seed).await
}

pub fn settings(emulator: &Emulator, folder: &tempfile::TempDir) -> Settings {
    let mut settings = Settings::new(emulator, folder);
    settings.more_chats = (0..CHATS).map(|number| (format!("c{number}"), chat(number))).collect();
    let route = |number| format!("  - {{name: c{number}, match: ['chat=\"c{number}\"'], chats: [c{number}]}}\n");
    let routes: String = (0..CHATS).map(route).collect();
    settings.rest = format!(
        "people:\n  - {{name: ada, telegram: 11, role: admin}}\nroutes:\n{routes}  - {{name: everything, chats: [operations]}}\n"
    );
    settings
}

pub fn one(name: &str, severity: &str, chat: usize) -> Value {
    let labels = json!({"alertname": name, "severity": severity, "chat": format!("c{chat}"), "instance": "a:1"});
    group(name, &[alert("firing", labels, Timestamp::now())])
}

/// From the beginning of the webhook to the arrival of the call, in milliseconds, sorted.
pub async fn until_called(emulator: &Emulator, sent: &[(String, Duration)]) -> Result<Vec<f64>> {
    let mut waits = Vec::new();
    for (name, at) in sent {
        let says = |call: &&RecordedCall| call.acted && call.parameters["text"].as_str().is_some_and(|text| text.contains(name));
        let called = emulator.until(DEADLINE, |world| world.calls().find(says).map(|call| call.at_milliseconds)).await;
        let called = called.with_context(|| format!("{name} was not sent"))?;
        waits.push((called as f64 - at.as_secs_f64() * 1000.0).max(0.0));
    }
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

pub fn percentile(sorted: &[f64], share: usize) -> f64 {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}

/// The 99th percentile of criticals that come at a rate which Telegram takes.
pub async fn accepted_to_api(count: usize) -> Result<f64> {
    const APART: Duration = Duration::from_millis(50);
    let (emulator, folder) = (telegram().await?, tempfile::tempdir()?);
    let program = Program::start(&mut settings(&emulator, &folder), &[]).await;
    let mut sent = Vec::new();
    for number in 0..count {
        let name = format!("Accepted{number:05}x");
        sent.push((name.clone(), emulator.look(|world| world.now())));
        ensure!(program.post(&one(&name, "critical", number % CHATS)).await == Some(200), "a webhook was not taken");
        tokio::time::sleep(APART).await;
    }
    let waits = until_called(&emulator, &sent).await?;
    println!("webhook in to call out: p50 {:.1} ms, p99 {:.1} ms", percentile(&waits, 50), percentile(&waits, 99));
    Ok(percentile(&waits, 99))
}

pub struct Load {
    pub alerts_per_second: f64,
    pub restart_ms: f64,
    pub rss_mb: f64,
}

/// So many incidents as fast as they are taken, a kill, ten thousand alerts at once, and pictures.
pub async fn load(incidents: usize, pictures: usize) -> Result<Load> {
    let (emulator, folder) = (telegram().await?, tempfile::tempdir()?);
    let prometheus = Prometheus::start(PrometheusOptions::default()).await?;
    let mut settings = settings(&emulator, &folder);
    settings.alertmanager = format!("    prometheus: {}", prometheus.url());
    let mut program = Program::start(&mut settings, &[]).await;

    let began = Instant::now();
    let (client, url) = (Arc::new(program.client.clone()), program.url.clone());
    let senders = (0..SENDERS).map(|sender| {
        let (client, url) = (Arc::clone(&client), url.clone());
        tokio::spawn(async move {
            for number in (sender..incidents).step_by(SENDERS) {
                let taken = post(&client, &url, &one(&format!("Load{number:05}x"), "warning", number % CHATS)).await;
                ensure!(taken == Some(200), "a webhook was not taken: {taken:?}");
            }
            Ok(())
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await??;
    }
    let alerts_per_second = incidents as f64 / began.elapsed().as_secs_f64();
    let loaded = peak(program.pid())?;

    program.kill().await;
    let began = Instant::now();
    program.begin(&settings, &[]).await;
    ensure!(program.post(&one("AfterTheKill", "critical", 0)).await == Some(200), "a webhook was not taken");
    let restart_ms = began.elapsed().as_secs_f64() * 1000.0;
    let restarted = peak(program.pid())?;

    let many: Vec<Value> = (0..10_000)
        .map(|number| {
            let labels = json!({"alertname": "Many", "severity": "critical", "instance": format!("host-{number:05}:9100")});
            alert("firing", labels, Timestamp::now())
        })
        .collect();
    ensure!(program.post(&group("Many", &many)).await == Some(200), "a webhook was not taken");
    let large = peak(program.pid())?;
    for number in 0..pictures {
        // It needs nothing scraped.
        emulator.say(11, 11, "/graph vector(time())").map_err(|refusal| anyhow::anyhow!(refusal.description))?;
        // One a second and chat: the next one is asked for when the last one is there.
        let drawn = |world: &telegram_emulator::World| {
            let photos = world.chats[&11].messages().filter(|message| message.photo.is_some()).count();
            (photos > number).then_some(())
        };
        emulator.until(DEADLINE, drawn).await.context("a picture did not arrive")?;
    }
    let rss_mb = loaded.max(peak(program.pid())?);
    println!("{incidents} incidents: {alerts_per_second:.0} a second; ready {restart_ms:.0} ms after a kill");
    println!(
        "at most {loaded:.1} MiB under the load; after the kill {restarted:.1}, with 10000 alerts at once {large:.1}, \
         with {pictures} pictures {rss_mb:.1}"
    );
    Ok(Load { alerts_per_second, restart_ms, rss_mb })
}

/// The largest that a process ever was, in MiB (`VmHWM`).
fn peak(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes / MEBIBYTE)
}
