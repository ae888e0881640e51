//! The bot does not report its own death: killed, its absence and a firing critical reach the second chat through Alertmanager's
//! own receiver, with the configuration and the rules that operators begin with.

use std::{fs, path::Path, time::Duration};

use local_parts::{Alertmanager, AlertmanagerOptions, Prometheus, PrometheusOptions, ScrapeTarget, free_ports};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{OPERATIONS, Settings, WEBHOOK_TOKEN, message_with, until},
    program::Program,
};

/// "When the bot is down" of the emulator's demonstration.
const SECOND: i64 = -1_001_000_000_003;
/// `AlertbotDown` waits a minute.
const DEADLINE: Duration = Duration::from_secs(180);

fn repository(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

/// The example, with this test's addresses and tokens.
fn configuration(bot: &str, emulator: &Emulator) -> String {
    let mut text = fs::read_to_string(repository("alertbot/alertmanager.example.yml")).unwrap();
    let second = &Seed::demo().bots[1].token;
    for (written, ours) in [
        ("http://127.0.0.1:9095", bot),
        ("credentials: webhook-token", &format!("credentials: {WEBHOOK_TOKEN}")),
        ("https://api.telegram.org", &emulator.url()),
        ("second-bot-token", second),
        ("group_wait: 10s", "group_wait: 1s"),
    ] {
        assert!(text.contains(written), "the example holds no {written}");
        text = text.replace(written, ours);
    }
    assert!(text.contains(&format!("chat_id: {SECOND}")));
    text
}

#[tokio::test]
async fn a_killed_bot_and_a_critical_are_told_by_alertmanager_itself() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let [alertmanager_port] = free_ports().unwrap();
    let mut settings = Settings::new(&emulator, &folder);
    settings.alertmanager = "    watchdog:\n      within: 5m\n".to_owned();
    let mut bot = Program::start(&mut settings, &[]).await;
    let configuration = configuration(&bot.url, &emulator);
    let options = AlertmanagerOptions { configuration, port: Some(alertmanager_port), ..Default::default() };
    let alertmanager = Alertmanager::start(options).await.unwrap();
    let critical = folder.path().join("critical.yml");
    // It waits until Prometheus has found Alertmanager: what fires before that is sent a minute later.
    let rule = "groups: [{name: test, rules: [{alert: DiskFull, expr: vector(97) > 90, for: 10s, labels: {severity: critical},
                annotations: {summary: 'The disk is {{ $value }} % full'}}]}]";
    fs::write(&critical, rule).unwrap();
    let prometheus = PrometheusOptions {
        rules: vec![
            critical,
            repository("dashboards/prometheus/recording/alertbot.yml"),
            repository("dashboards/prometheus/alerts/alertbot.yml"),
        ],
        targets: vec![ScrapeTarget { job: "alertbot".into(), addresses: vec![bot.admin.replace("http://", "")] }],
        alertmanagers: vec![alertmanager.url().replace("http://", "")],
        ..Default::default()
    };
    let _prometheus = Prometheus::start(prometheus).await.unwrap();

    message_with(&emulator, OPERATIONS, &["DiskFull", "The disk is 97 % full"]).await;
    let watchdog = "alertbot_webhooks_total{alertmanager=\"main\",outcome=\"watchdog\"}";
    until("the Watchdog is heard", async || bot.metric(watchdog).await >= 1.0).await;
    assert!(!emulator.messages(OPERATIONS).iter().any(|message| message.text.contains("Watchdog")), "it is for nobody to read");
    assert_eq!(emulator.messages(SECOND), [], "while the bot is there, the other way is silent");

    bot.kill().await;
    let told = async |parts: &[&str]| {
        let found = emulator.until(DEADLINE, |world| {
            world.chats[&SECOND].messages().find(|message| parts.iter().all(|part| message.text.contains(part))).cloned()
        });
        let Ok(message) = found.await else {
            panic!("no message with {parts:?} in the second chat: {:#?}", emulator.messages(SECOND))
        };
        message
    };
    told(&["CriticalWithoutAlertbot", "DiskFull fires and no alert bot is ready"]).await;
    told(&["AlertbotDown", "0 alert bots are reachable", "AlertbotDown.md"]).await;

    // Back again, it is quiet there, and that it is over is told.
    bot.begin(&settings, &[]).await;
    told(&["RESOLVED", "CriticalWithoutAlertbot"]).await;
}
