//! Charts: drawn from a real Prometheus, sent as silent replies; a failure delays no message.

use jiff::Timestamp;
use local_parts::{Prometheus, PrometheusOptions, ScrapeTarget};
use serde_json::Value;
use telegram_emulator::{ChatMessage, Emulator, Seed};
use tokio::net::TcpListener;

use crate::{
    bot::{Bot, OPERATIONS, Settings, message_with, until},
    payloads::single,
};

const PICTURED: &str = "
routes:
  - name: everything
    chats: [operations]
    picture: true
";

/// An alert whose page is at that Prometheus.
fn alert_of(prometheus: &str, name: &str, expression: &str) -> Value {
    let mut webhook = single(name, "critical", "firing", Timestamp::now());
    let page = reqwest::Url::parse_with_params(&format!("{prometheus}/graph"), [("g0.expr", expression), ("g0.tab", "1")]);
    webhook["alerts"][0]["generatorURL"] = page.unwrap().as_str().into();
    webhook
}

async fn pictures(emulator: &Emulator, count: usize) -> Vec<ChatMessage> {
    let all = |messages: Vec<ChatMessage>| messages.into_iter().filter(|message| message.photo.is_some()).collect::<Vec<_>>();
    until("the pictures are there", async || all(emulator.messages(OPERATIONS)).len() >= count).await;
    all(emulator.messages(OPERATIONS))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expression_is_drawn_and_replies_to_the_card_without_a_sound() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings { rest: PICTURED.into(), ..Settings::new(&emulator, &folder) }).await;
    let address = bot.admin.trim_start_matches("http://").to_owned();
    let targets = vec![ScrapeTarget { job: "alertbot".into(), addresses: vec![address] }];
    let prometheus = Prometheus::start(PrometheusOptions { targets, ..PrometheusOptions::default() }).await.unwrap();
    until("there is something to draw", async || {
        let query = format!("{}/api/v1/query?query=count_over_time(up[1m])>3", prometheus.url());
        let Ok(reply) = bot.client.get(query).send().await else { return false };
        reply.json::<Value>().await.is_ok_and(|answer| answer["data"]["result"].get(0).is_some())
    })
    .await;

    assert_eq!(bot.post(&alert_of(prometheus.url(), "BotUp", "up > 0.5")).await, 200);
    let card = message_with(&emulator, OPERATIONS, &["BotUp"]).await;
    let picture = pictures(&emulator, 1).await.remove(0);
    assert!(picture.silent && !card.silent);
    assert_eq!(picture.reply_to, Some(card.id));
    assert_eq!(picture.text, "BotUp");
    assert_eq!(bot.metric("alertbot_pictures_total{outcome=\"drawn\"}").await, 1.0);
    bot.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_does_not_answer_delays_no_text() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let rest = format!("{PICTURED}picture: {{timeout: 10s}}\n");
    let bot = Bot::start(&Settings { rest, ..Settings::new(&emulator, &folder) }).await;
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prometheus = format!("http://{}", silent.local_addr().unwrap());
    for name in ["First", "Second", "Third"] {
        assert_eq!(bot.post(&alert_of(&prometheus, name, "up == 0")).await, 200);
    }
    for name in ["First", "Second", "Third"] {
        message_with(&emulator, OPERATIONS, &[name]).await;
    }
    // The texts need two seconds for the chat's distance of messages alone; a picture is given up after ten.
    assert_eq!(bot.metric("alertbot_pictures_total{outcome=\"failed\"}").await, 0.0, "no text waits for a picture");
    until("every picture is given up", async || bot.metric("alertbot_pictures_total{outcome=\"failed\"}").await == 3.0).await;
    assert!(emulator.messages(OPERATIONS).iter().all(|message| message.photo.is_none()));
    assert_eq!(emulator.messages(OPERATIONS).len(), 3, "a picture that a route attaches fails without a word");
    bot.stop().await;
}
