//! Faults on purpose, as a bot meets them, and the control API.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use telegram_emulator::{FaultKind, InjectedFault};

use crate::client::{ADA, Client, SUPERGROUP};

#[tokio::test]
async fn an_answer_that_is_lost_was_acted_on_and_a_broken_call_was_not() {
    let client = Client::start().await;
    for (kind, sent) in [(FaultKind::AnswerLost, 1), (FaultKind::Broken, 1)] {
        client.emulator.fault(InjectedFault::new(kind).on("sendMessage").times(1));
        let error = client.send("sendMessage", json!({"chat_id": ADA, "text": "x"})).await.unwrap_err();
        assert!(!error.is_connect(), "the call was on its way: {error:?}");
        assert_eq!(client.emulator.messages(ADA).len(), sent);
    }
    let acted: Vec<_> = client.emulator.calls().iter().map(|call| call.acted).collect();
    assert_eq!(acted, [true, false]);
    assert_eq!(client.text(ADA, "x").await.0, 200);
}

#[tokio::test]
async fn server_errors_limits_and_slowness_befall_whom_they_name() {
    let client = Client::start().await;
    client.emulator.fault(InjectedFault::new(FaultKind::ServerError { code: 502 }).in_chat(ADA).times(1));
    client.emulator.fault(
        InjectedFault::new(FaultKind::TooManyRequests { retry_after: None }).in_chat(SUPERGROUP).lasting(Duration::from_secs(60)),
    );
    assert_eq!(client.text(ADA, "x").await.0, 502);
    assert_eq!(client.text(ADA, "x").await.0, 200);
    let (code, body) = client.text(SUPERGROUP, "x").await;
    assert_eq!((code, &body["parameters"]["retry_after"]), (429, &json!(60)));
    client.emulator.clear_faults();
    assert_eq!(client.text(SUPERGROUP, "x").await.0, 429, "what was said to a bot holds");

    client.emulator.fault(InjectedFault::new(FaultKind::SlowAnswer { milliseconds: 300 }).times(1));
    let begun = Instant::now();
    let answered = client.text(ADA, "slow");
    let sent = client
        .emulator
        .until(Duration::from_secs(10), |world| world.chats[&ADA].messages().find(|m| m.text == "slow").map(|_| ()));
    let (answered, sent) = tokio::join!(answered, sent);
    sent.unwrap();
    assert!(answered.0 == 200 && begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn an_outage_refuses_connections_and_ends() {
    let mut client = Client::start().await;
    assert_eq!(client.text(ADA, "x").await.0, 200);
    client.emulator.refuse_connections().await;
    assert!(client.send("sendMessage", json!({"chat_id": ADA, "text": "x"})).await.unwrap_err().is_connect());
    client.emulator.listen().await.unwrap();
    assert_eq!(client.text(ADA, "x").await.0, 200);
}

#[tokio::test]
async fn the_control_api_does_what_the_library_does() {
    let client = Client::start().await;
    let http = reqwest::Client::new();
    let control = |path: &str| format!("{}/control/{path}", client.emulator.url());
    let post = async |path: &str, body: Value| {
        let reply = http.post(control(path)).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    post("faults", json!({"kind": "server_error", "code": 500, "chat": ADA, "times": 1})).await;
    assert_eq!(client.text(ADA, "x").await.0, 500);
    let markup = json!({"inline_keyboard": [[{"text": "Acknowledge", "callback_data": "ack:1"}]]});
    client.result("sendMessage", json!({"chat_id": SUPERGROUP, "text": "x", "reply_markup": markup})).await;
    let (code, _) = post("press", json!({"user": ADA, "chat": SUPERGROUP, "message": 1, "button": "Silence"})).await;
    assert_eq!(code, 400);
    let (_, pressed) = post("press", json!({"user": ADA, "chat": SUPERGROUP, "message": 1, "button": "Acknowledge"})).await;
    post("say", json!({"user": ADA, "chat": SUPERGROUP, "text": "/alerts now"})).await;

    let updates = client.result("getUpdates", json!({"timeout": 10})).await;
    assert_eq!(
        (&updates[0]["callback_query"]["data"], &updates[0]["callback_query"]["from"]["id"]),
        (&json!("ack:1"), &json!(ADA))
    );
    assert_eq!(updates[1]["message"]["entities"], json!([{"type": "bot_command", "offset": 0, "length": 7}]));
    let id = &pressed["callback_query_id"];
    client.result("answerCallbackQuery", json!({"callback_query_id": id, "text": "Taken", "show_alert": true})).await;
    let world: Value = reqwest::get(control("world")).await.unwrap().json().await.unwrap();
    assert_eq!((&world["callbacks"][0]["answer"], &world["callbacks"][0]["is_alert"]), (&json!("Taken"), &json!(true)));
    let calls: Value = reqwest::get(control("calls")).await.unwrap().json().await.unwrap();
    let methods: Vec<_> = calls.as_array().unwrap().iter().map(|call| call["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["sendmessage", "sendmessage", "getupdates", "answercallbackquery"]);
}

#[tokio::test]
async fn a_poll_waits_for_an_update_and_a_newer_one_ends_it() {
    let client = Client::start().await;
    let polling = client.call("getUpdates", json!({"timeout": 30}));
    let speaking = async {
        client.emulator.until(Duration::from_secs(10), |world| (world.bots[0].polls == 1).then_some(())).await.unwrap();
        client.emulator.say(ADA, ADA, "hello").unwrap();
    };
    let ((code, body), ()) = tokio::join!(polling, speaking);
    assert_eq!((code, &body["result"][0]["message"]["text"]), (200, &json!("hello")));
    let next = body["result"][0]["update_id"].as_i64().unwrap() + 1;

    let first = client.call("getUpdates", json!({"timeout": 30, "offset": next}));
    let second = async {
        client.emulator.until(Duration::from_secs(10), |world| (world.bots[0].polls == 2).then_some(())).await.unwrap();
        client.call("getUpdates", json!({"timeout": 0, "offset": next})).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.0, second.0), (409, 200));
    assert_eq!(second.1["result"], json!([]), "what was confirmed is gone");
}
