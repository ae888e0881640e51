//! Alertmanager's own Telegram notifier takes the emulator for Telegram.

use std::time::Duration;

use local_parts::{Alertmanager, AlertmanagerOptions};
use serde_json::json;
use telegram_emulator::{Emulator, Seed};

const GROUP: i64 = -1_001_000_000_003;
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_firing_and_a_resolved_alert_arrive() {
    let seed = Seed::demo();
    let token = seed.bots[1].token.clone();
    let emulator = Emulator::start(seed).await.unwrap();
    let configuration = format!(
        r#"
route: {{receiver: telegram, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: telegram
    telegram_configs:
      - {{bot_token: "{token}", api_url: "{}", chat_id: {GROUP}, parse_mode: HTML}}
"#,
        emulator.url()
    );
    let options = AlertmanagerOptions { configuration, ..Default::default() };
    let alertmanager = Alertmanager::start(options).await.unwrap();
    let labels = json!({"alertname": "DiskFull", "severity": "critical", "path": "/a<b&c"});
    alertmanager.post_alerts(&json!([{"labels": labels}])).await.unwrap();
    let told = |words: &'static str| {
        emulator.until(DEADLINE, move |world| {
            world.chats[&GROUP].messages().find(|message| message.text.contains(words)).map(|message| message.text.clone())
        })
    };
    let firing = told("Alerts Firing").await.unwrap();
    assert!(firing.contains("path = /a<b&c"), "{firing}");
    let ended = "2026-01-01T00:00:00Z";
    alertmanager.post_alerts(&json!([{"labels": labels, "startsAt": ended, "endsAt": ended}])).await.unwrap();
    told("Alerts Resolved").await.unwrap();
    let calls = emulator.calls();
    assert!(calls.iter().all(|call| call.method == "sendmessage" && call.code == 200 && call.unknown.is_empty()), "{calls:#?}");
}
