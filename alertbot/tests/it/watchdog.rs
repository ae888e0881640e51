//! The dead man's switch: the Watchdog must arrive, and the heartbeat must be sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::get};
use jiff::Timestamp;
use telegram_emulator::{Emulator, Seed};
use tokio::net::TcpListener;

use crate::{
    bot::{Bot, OPERATIONS, ROUTES, Settings, message_with, until},
    payloads::single,
};

const HEARTBEAT: &str = "
heartbeat:
  url: ${ALERTBOT_HEARTBEAT_URL}
  every: 1s
";

/// The addresses that complete the links of the bot's own incidents.
const LINKS: &str = "
links:
  runbooks: https://wiki.example.com
  dashboards: https://grafana.example.com
";

/// An outside service that counts how often it was called.
async fn outside() -> (String, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/beat", listener.local_addr().unwrap());
    let counted = Arc::clone(&calls);
    let router = Router::new().route(
        "/beat",
        get(async move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, calls)
}

#[tokio::test]
async fn a_silent_alertmanager_is_an_incident_and_holds_the_heartbeat_back() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (url, calls) = outside().await;
    let mut settings = Settings::new(&emulator, &folder);
    settings.alertmanager = "    watchdog: {alert: Watchdog, within: 3s}".into();
    settings.rest = format!("{LINKS}{ROUTES}{HEARTBEAT}");
    settings.secrets = vec![("ALERTBOT_HEARTBEAT_URL", url)];
    let bot = Bot::start(&settings).await;
    let watchdog = single("Watchdog", "none", "firing", Timestamp::now());
    assert_eq!(bot.post(&watchdog).await, 200);
    until("the heartbeat goes out", async || calls.load(Ordering::Relaxed) > 0).await;
    let card = message_with(&emulator, OPERATIONS, &["AlertmanagerSilent"]).await;
    assert!(!card.silent);
    let links: Vec<_> = card.entities.iter().filter_map(|entity| entity.url.as_deref()).collect();
    for page in
        ["https://wiki.example.com/runbooks/AlertbotWatchdogStale.md", "https://grafana.example.com/d/alertbot?viewPanel=104"]
    {
        assert!(links.contains(&page), "{page} is not among {links:?}");
    }
    assert!(
        emulator.messages(OPERATIONS).iter().all(|message| !message.text.contains("Watchdog is wrong")),
        "it opens no incident"
    );
    until("the heartbeat is withheld", async || bot.metric("alertbot_heartbeats_total{outcome=\"withheld\"}").await > 0.0).await;
    let before = calls.load(Ordering::Relaxed);
    assert_eq!(bot.post(&watchdog).await, 200, "a repeat counts: it arrives before deduplication");
    until("the end is edited in", async || emulator.messages(OPERATIONS)[0].edited.is_some()).await;
    until("the heartbeat goes out again", async || calls.load(Ordering::Relaxed) > before).await;
}

#[tokio::test]
async fn without_telegram_there_is_no_heartbeat() {
    let (mut emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (url, calls) = outside().await;
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = format!("{ROUTES}{HEARTBEAT}");
    settings.secrets = vec![("ALERTBOT_HEARTBEAT_URL", url)];
    emulator.refuse_connections().await;
    let bot = Bot::start(&settings).await;
    until("it is withheld", async || bot.metric("alertbot_heartbeats_total{outcome=\"withheld\"}").await > 0.0).await;
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}
