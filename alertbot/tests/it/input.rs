//! Webhooks as they should not be: each has its status, and nothing of others is lost.

use jiff::Timestamp;
use serde_json::{Value, json};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Bot, OPERATIONS, Settings, WEBHOOK_TOKEN, message_with, until},
    payloads::{alert, group, single},
    silences::pair,
};

#[tokio::test]
async fn what_can_never_be_right_is_4xx_and_what_is_only_odd_is_taken() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest += "\nlimits:\n  webhook_bytes: 64KiB\n  webhook_alerts: 100\n";
    let bot = Bot::start(&settings).await;
    let right = single("Right", "warning", "firing", Timestamp::now());
    let with = |path: &[&str], value: Value| {
        let mut payload = right.clone();
        let (last, front) = path.split_last().unwrap();
        front.iter().fold(&mut payload, |at, name| &mut at[*name])[*last] = value;
        payload.to_string()
    };
    let many: Vec<_> = (0..101).map(|one| alert("firing", json!({"i": one.to_string()}), Timestamp::now())).collect();
    for (what, body, token, expected) in [
        ("a wrong token", right.to_string(), "wrong", 401),
        ("no token", right.to_string(), "", 401),
        ("no JSON", "{".into(), WEBHOOK_TOKEN, 400),
        ("nothing", String::new(), WEBHOOK_TOKEN, 400),
        ("another JSON", "[]".into(), WEBHOOK_TOKEN, 400),
        ("a wrong version", with(&["version"], json!("5")), WEBHOOK_TOKEN, 400),
        ("a number as version", with(&["version"], json!(4)), WEBHOOK_TOKEN, 400),
        ("no group", with(&["groupKey"], json!("")), WEBHOOK_TOKEN, 400),
        ("an unknown status", with(&["status"], json!("odd")), WEBHOOK_TOKEN, 400),
        ("too large", with(&["externalURL"], json!("x".repeat(70_000))), WEBHOOK_TOKEN, 413),
        ("too many alerts", group("Many", &many).to_string(), WEBHOOK_TOKEN, 413),
        ("an unknown field", with(&["notification_reason"], json!({"new": [1]})), WEBHOOK_TOKEN, 200),
        (
            "no annotations",
            with(&["alerts"], json!([{"status": "firing", "startsAt": "2026-01-01T00:00:00Z"}])),
            WEBHOOK_TOKEN,
            200,
        ),
        ("no alerts", with(&["alerts"], json!([])), WEBHOOK_TOKEN, 200),
    ] {
        let request = bot.client.post(format!("{}/webhook/main", bot.url)).bearer_auth(token).body(body);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status().as_u16(), expected, "{what}: {}", reply.text().await.unwrap());
    }
    let other = bot.client.post(format!("{}/webhook/other", bot.url)).bearer_auth(WEBHOOK_TOKEN).body(right.to_string());
    assert_eq!(other.send().await.unwrap().status().as_u16(), 401, "who calls learns no names");
    assert_eq!(bot.client.get(format!("{}/webhook/main", bot.url)).send().await.unwrap().status().as_u16(), 405);
    for (bytes, expected) in [(1_000, 404), (64 * 1024 + 1, 413)] {
        let request = bot.client.post(format!("{}/phone/nobody/guessed", bot.url)).body("x".repeat(bytes));
        assert_eq!(request.send().await.unwrap().status().as_u16(), expected, "a callback of {bytes} bytes");
    }
    for (reason, count) in
        [("unauthorised", 3.0), ("malformed", 6.0), ("wrong_version", 1.0), ("too_large", 1.0), ("unknown_path", 1.0)]
    {
        let sample = format!("alertbot_webhook_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(bot.metric(&sample).await, count, "{reason}");
    }
    assert_eq!(bot.post(&single("After", "warning", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, OPERATIONS, &["After"]).await;
}

/// Markup, marks of direction, emoji, and more than a message holds: Telegram takes all of it.
#[tokio::test]
async fn whatever_labels_say_arrives_and_breaks_nothing() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    for (number, odd) in
        ["<b>&amp;</i>", "\u{202e}txt.exe\u{2066}", "🧨👩‍👩‍👧‍👦", "دیسک پر است", &"&".repeat(9000), "a\u{0}b"].iter().enumerate()
    {
        let name = format!("Odd{number}x");
        let mut one = alert("firing", json!({"alertname": name, "severity": "warning", "odd": odd}), Timestamp::now());
        one["annotations"] = json!({"summary": odd, "description": odd, "runbook_url": odd});
        assert_eq!(bot.post(&group(&name, &[one])).await, 200, "{odd:?}");
        message_with(&emulator, OPERATIONS, &[&name]).await;
    }
    assert!(emulator.calls().iter().all(|call| call.code == 200 || call.method == "getupdates"), "nothing was refused");
}

#[tokio::test]
async fn ten_thousand_alerts_of_one_group_are_one_message() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let labels = |one: usize| json!({"alertname": "Many", "severity": "critical", "instance": format!("host-{one:05}:9100")});
    let began = Timestamp::now();
    let all = |status: &str| group("Many", &(0..10_000).map(|one| alert(status, labels(one), began)).collect::<Vec<_>>());
    assert_eq!(bot.post(&all("firing")).await, 200);
    message_with(&emulator, OPERATIONS, &["Many"]).await;
    assert_eq!(bot.post(&all("resolved")).await, 200);
    until("the end is edited in", async || emulator.messages(OPERATIONS)[0].edited.is_some()).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1);
}

/// The queue has a bound: above it Alertmanager keeps what it has, and comes again.
#[tokio::test]
async fn above_the_limit_of_waiting_messages_a_webhook_is_told_to_come_again() {
    let (mut emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    emulator.refuse_connections().await;
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = "routes:\n  - {name: everything, chats: [operations, night]}\nlimits: {queued: 1000}\n".into();
    let bot = Bot::start(&settings).await;
    // Each is a message for two chats.
    for number in 0..500 {
        assert_eq!(bot.post(&single(&format!("Waits{number}"), "warning", "firing", Timestamp::now())).await, 200);
    }
    let more = single("OneMore", "warning", "firing", Timestamp::now());
    until("the queue is full", async || bot.post(&more).await == 503).await;
    assert!(bot.metric("alertbot_webhook_refused_total{reason=\"unavailable\"}").await >= 1.0);
}

#[tokio::test]
async fn what_an_oversized_webhook_was_about_is_read_from_alertmanager() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let (bot, alertmanager) = pair(&emulator, &folder, "\nlimits:\n  webhook_bytes: 64KiB\n").await;
    let all: Vec<Value> = (0..300)
        .map(|one| json!({"labels": {"alertname": "TooLarge", "severity": "critical", "i": format!("{one:0>300}")}}))
        .collect();
    alertmanager.post_alerts(&Value::Array(all)).await.unwrap();
    message_with(&emulator, OPERATIONS, &["TooLarge"]).await;
    // Alertmanager may have told of the first few of them before.
    until("the webhook with all of them is refused", async || {
        bot.metric("alertbot_webhook_refused_total{reason=\"too_large\"}").await >= 1.0
    })
    .await;
    message_with(&emulator, OPERATIONS, &["TooLarge", "and 290 more"]).await;
}

/// A body in the shape that the documentation of Grafana states, shortened.
#[tokio::test]
async fn an_alert_that_grafana_manages_shows_its_values_and_links() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let grafana = |status: &str, values: Value| {
        let ends_at = if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-11-30T02:20:00Z" };
        json!({
            "receiver": "bot", "status": status, "orgId": 1, "version": "1", "truncatedAlerts": 0, "title": "[FIRING:1] HighLoad",
            "groupKey": "{}/{__grafana_autogenerated__=\"true\"}:{alertname=\"HighLoad\"}", "state": "alerting", "message": "x",
            "groupLabels": {"alertname": "HighLoad", "grafana_folder": "Hosts"},
            "commonLabels": {"alertname": "HighLoad", "grafana_folder": "Hosts", "instance": "db:1"},
            "commonAnnotations": {"summary": "the load is high"}, "externalURL": "https://grafana.example.com/",
            "alerts": [{
                "status": status, "startsAt": "2026-11-30T02:14:00Z", "endsAt": ends_at, "fingerprint": "57c6d9296de2ad39",
                "labels": {"alertname": "HighLoad", "grafana_folder": "Hosts", "instance": "db:1"},
                "annotations": {"summary": "the load is high"}, "values": values, "valueString": "[ var='B' value=44.2 ]",
                "generatorURL": "https://grafana.example.com/alerting/grafana/abc/view?orgId=1",
                "silenceURL": "https://grafana.example.com/alerting/silence/new?alertmanager=grafana&matcher=a",
                "dashboardURL": "https://grafana.example.com/d/node", "panelURL": "https://grafana.example.com/d/node?viewPanel=2",
            }],
        })
    };
    assert_eq!(bot.post(&grafana("firing", json!({"B": 44.2}))).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["HighLoad", "44.2", "Dashboard", "Silence"]).await;
    let links = serde_json::to_string(&card.entities).unwrap();
    assert!(links.contains("viewPanel=2") && links.contains("silence/new?alertmanager=grafana"), "{links}");
    // A field that is only shown costs no alert, whatever it holds.
    for (number, odd) in [json!([44.2]), json!("44.2"), json!(44.2), json!({"B": {"C": [1]}})].into_iter().enumerate() {
        let mut body = grafana("firing", odd);
        for name in ["silenceURL", "panelURL", "valueString"] {
            body["alerts"][0][name] = json!({"not": ["a text"]});
        }
        body["groupKey"] = json!(number.to_string());
        assert_eq!(bot.post(&body).await, 200, "{body}");
    }
    // No data: there are no values.
    assert_eq!(bot.post(&grafana("resolved", Value::Null)).await, 200);
    message_with(&emulator, OPERATIONS, &["HighLoad", "resolved"]).await;
}

/// A start that is missing or zero is the time of arrival, and an optional field that is null does not cost the alert.
#[tokio::test]
async fn an_optional_field_does_not_cost_the_alert() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    for (name, start) in [("Missing", None), ("Null", Some(Value::Null)), ("Zero", Some(json!("0001-01-01T00:00:00Z")))] {
        let mut payload = single(name, "critical", "firing", Timestamp::now());
        match start {
            Some(start) => payload["alerts"][0]["startsAt"] = start,
            None => drop(payload["alerts"][0].as_object_mut().unwrap().remove("startsAt")),
        }
        for field in ["generatorURL", "fingerprint", "endsAt"] {
            payload["alerts"][0][field] = Value::Null;
        }
        for field in ["externalURL", "truncatedAlerts", "groupLabels"] {
            payload[field] = Value::Null;
        }
        assert_eq!(bot.post(&payload).await, 200, "{name}");
        let card = message_with(&emulator, OPERATIONS, &[name]).await;
        assert!(card.text.contains(" s)"), "it began now: {}", card.text);
        payload["alerts"][0]["status"] = "resolved".into();
        assert_eq!(bot.post(&payload).await, 200, "{name}");
        message_with(&emulator, OPERATIONS, &[name, "resolved"]).await;
    }
    // Grafana names neither its group nor a receiver here.
    let mut payload = single("Unnamed", "critical", "firing", Timestamp::now());
    payload["version"] = "1".into();
    for field in ["groupKey", "receiver", "status"] {
        payload.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(bot.post(&payload).await, 200);
    message_with(&emulator, OPERATIONS, &["Unnamed"]).await;
}
