//! What Telegram takes, and what it refuses in which words.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use telegram_emulator::{ChatState, TelegramLimits};

use crate::client::{ADA, Client, FORUM, GROUP, SUPERGROUP};

/// A picture of one by one that a decoder takes.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x20\x08\x06\0\0\0";

#[tokio::test]
async fn methods_have_no_case_and_parameters_come_in_four_ways() {
    let client = Client::start().await;
    let http = reqwest::Client::new();
    let query = http.get(format!("{}?chat_id={ADA}&text=query", client.url("SENDMESSAGE"))).send();
    let form = http
        .post(client.url("SendMessage"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("chat_id={ADA}&text=form&disable_notification=true"))
        .send();
    let multipart = http
        .post(client.url("sendmessage"))
        .multipart(Form::new().text("chat_id", ADA.to_string()).text("text", "multipart"))
        .send();
    for sent in [query.await.unwrap(), form.await.unwrap(), multipart.await.unwrap()] {
        assert_eq!(sent.status(), 200);
    }
    client.result("sendMessage", json!({"chat_id": ADA.to_string(), "text": "json", "disable_notification": "true"})).await;
    let messages = client.emulator.messages(ADA);
    let told: Vec<_> = messages.iter().map(|message| (message.text.as_str(), message.silent)).collect();
    assert_eq!(told, [("query", false), ("form", true), ("multipart", false), ("json", true)]);
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_telegrams_words() {
    let client = Client::start().await;
    let message = client.result("sendMessage", json!({"chat_id": ADA, "text": "first"})).await["message_id"].clone();
    let long = "😀".repeat(2049);
    let button = |action: Value| {
        let mut button = json!({"text": "Acknowledge"});
        button.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
        json!({"chat_id": ADA, "text": "x", "reply_markup": {"inline_keyboard": [[button]]}})
    };
    for (method, parameters, told) in [
        ("sendMessage", json!({"text": "x"}), "Bad Request: chat_id is empty"),
        ("sendMessage", json!({"chat_id": 99, "text": "x"}), "Bad Request: chat not found"),
        ("sendMessage", json!({"chat_id": ADA, "text": "  \n"}), "Bad Request: message text is empty"),
        ("sendMessage", json!({"chat_id": ADA, "text": long}), "Bad Request: message is too long"),
        (
            "sendMessage",
            json!({"chat_id": ADA, "text": "<b>x", "parse_mode": "HTML"}),
            "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\"",
        ),
        ("sendMessage", json!({"chat_id": ADA, "text": "x", "parse_mode": "RTF"}), "Bad Request: unsupported parse_mode"),
        ("sendMessage", button(json!({"callback_data": "x".repeat(65)})), "Bad Request: BUTTON_DATA_INVALID"),
        (
            "sendMessage",
            button(json!({"url": "http://localhost:3000/"})),
            "Bad Request: inline keyboard button URL 'http://localhost:3000/' is invalid: Wrong HTTP URL",
        ),
        (
            "sendMessage",
            button(json!({})),
            "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            "sendMessage",
            json!({"chat_id": ADA, "text": "x", "reply_parameters": {"message_id": 77}}),
            "Bad Request: message to be replied not found",
        ),
        ("sendMessage", json!({"chat_id": FORUM, "text": "x", "message_thread_id": 9}), "Bad Request: message thread not found"),
        ("sendMessage", json!({"chat_id": FORUM, "text": "x", "message_thread_id": 1}), "Bad Request: message thread not found"),
        ("editMessageText", json!({"chat_id": ADA, "message_id": 77, "text": "x"}), "Bad Request: message to edit not found"),
        (
            "editMessageText",
            json!({"chat_id": ADA, "message_id": message, "text": "first"}),
            "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current \
             content and reply markup of the message",
        ),
        (
            "answerCallbackQuery",
            json!({"callback_query_id": "1"}),
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        ),
        ("sendPhoto", json!({"chat_id": ADA, "caption": "x".repeat(1025)}), "Bad Request: message caption is too long"),
        ("sendPhoto", json!({"chat_id": ADA}), "Bad Request: there is no photo in the request"),
        ("setMyCommands", json!({"commands": [{"command": "Alerts", "description": "x"}]}), "Bad Request: BOT_COMMAND_INVALID"),
        ("sendPigeon", json!({}), "Not Found: method not found"),
    ] {
        assert_eq!(client.refused(method, parameters).await, told);
    }
    assert_eq!(client.emulator.messages(ADA).len(), 1, "a refused call has changed nothing");
}

#[tokio::test]
async fn exactly_4096_units_after_entities_pass() {
    let client = Client::start().await;
    let text = format!("<b>{}</b>&amp;&lt;", "😀".repeat(2047));
    let sent = client.result("sendMessage", json!({"chat_id": ADA, "text": text, "parse_mode": "HTML"})).await;
    assert_eq!(sent["entities"], json!([{"type": "bold", "offset": 0, "length": 4094}]));
}

#[tokio::test]
async fn an_unknown_token_opens_nothing() {
    let mut client = Client::start().await;
    client.token = "7000001:another-secret-of-the-same-length-xx".to_owned();
    assert_eq!(client.refused("getMe", json!({})).await, "Unauthorized");
}

#[tokio::test]
async fn limits_are_kept_and_windows_counted() {
    let client = Client::with(TelegramLimits { chat_burst: 2, ..TelegramLimits::default() }).await;
    for _ in 0..2 {
        assert_eq!(client.text(SUPERGROUP, "x").await.0, 200);
    }
    let (code, body) = client.text(SUPERGROUP, "x").await;
    assert_eq!((code, &body["parameters"]["retry_after"]), (429, &json!(2)));
    assert_eq!(body["description"], "Too Many Requests: retry after 2");
    // The window is open: this call should not have been made, and an edit is no way round.
    let edit = json!({"chat_id": SUPERGROUP, "message_id": 1, "text": "y"});
    assert_eq!(client.call("editMessageText", edit).await.0, 429);
    // Another chat does not wait.
    assert_eq!(client.text(ADA, "x").await.0, 200);
    let inside: Vec<_> = client.emulator.calls().iter().map(|call| call.inside_window.is_some()).collect();
    assert_eq!(inside, [false, false, false, true, false]);
}

#[tokio::test]
async fn chats_are_kicked_blocked_migrated_and_topics_go() {
    let client = Client::start().await;
    client.emulator.change(|world| {
        world.chat_mut(SUPERGROUP).unwrap().state = ChatState::Kicked;
        world.chat_mut(ADA).unwrap().state = ChatState::Kicked;
        world.migrate(GROUP, -1_001_000_000_777).unwrap();
        world.chat_mut(FORUM).unwrap().topics.remove(&2);
    });
    let (code, kicked) = client.text(SUPERGROUP, "x").await;
    assert_eq!((code, kicked["description"].as_str()), (403, Some("Forbidden: bot was kicked from the supergroup chat")));
    let (code, blocked) = client.text(ADA, "x").await;
    assert_eq!((code, blocked["description"].as_str()), (403, Some("Forbidden: bot was blocked by the user")));
    let (code, moved) = client.text(GROUP, "x").await;
    assert_eq!((code, &moved["parameters"]["migrate_to_chat_id"]), (400, &json!(-1_001_000_000_777_i64)));
    assert_eq!(client.text(-1_001_000_000_777, "x").await.0, 200);
    let gone = json!({"chat_id": FORUM, "text": "x", "message_thread_id": 2});
    assert_eq!(client.refused("sendMessage", gone).await, "Bad Request: message thread not found");
    let there = client.result("sendMessage", json!({"chat_id": FORUM, "text": "x", "message_thread_id": 3})).await;
    assert_eq!((&there["message_thread_id"], &there["is_topic_message"]), (&json!(3), &json!(true)));
}

#[tokio::test]
async fn pictures_are_looked_at() {
    let client = Client::start().await;
    let send = async |content: Vec<u8>| {
        let form = Form::new()
            .text("chat_id", ADA.to_string())
            .text("caption", "the last hour")
            .part("photo", Part::bytes(content).file_name("graph.png"));
        let reply = reqwest::Client::new().post(client.url("sendPhoto")).multipart(form).send().await.unwrap();
        reply.json::<Value>().await.unwrap()
    };
    assert_eq!(send(b"no picture".to_vec()).await["description"], "Bad Request: IMAGE_PROCESS_FAILED");
    let mut thin = PNG.to_vec();
    thin[23] = 1;
    assert_eq!(send(thin).await["description"], "Bad Request: PHOTO_INVALID_DIMENSIONS");
    let sent = send(PNG.to_vec()).await;
    let photo = &sent["result"]["photo"][0];
    assert_eq!(
        (&photo["width"], &photo["height"], &sent["result"]["caption"]),
        (&json!(64), &json!(32), &json!("the last hour"))
    );
    let file = client.result("getFile", json!({"file_id": photo["file_id"]})).await;
    let url = format!("{}/file/bot{}/{}", client.emulator.url(), client.token, file["file_path"].as_str().unwrap());
    assert_eq!(reqwest::get(url).await.unwrap().bytes().await.unwrap(), PNG);
}

#[tokio::test]
async fn unknown_parameters_are_told_in_the_transcript() {
    let client = Client::start().await;
    client.result("sendMessage", json!({"chat_id": ADA, "text": "x", "disable_notifications": true})).await;
    assert_eq!(client.emulator.calls()[0].unknown, ["disable_notifications"]);
}
