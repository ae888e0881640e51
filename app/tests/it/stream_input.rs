//! Tests of bad input on market streams: the documented error, and whether the connection remains.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{exchange::Exchange, socket::Socket};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_answered_and_the_connection_remains() {
    let exchange = Exchange::start().await;
    let rows = [
        ("{", 3, "Invalid JSON: EOF while parsing an object at line 1 column 1"),
        ("hello", 3, "Invalid JSON: expected value at line 1 column 1"),
        ("[]", 2, "Invalid request: "),
        (r#"{"id":1}"#, 2, "Invalid request: missing field `method` at line 1 column 8"),
        (
            r#"{"method":"subscribe","params":["btcusdt@trade"],"id":1}"#,
            2,
            "Invalid request: unknown variant `subscribe`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 21",
        ),
        (r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"]}"#, 2, "Invalid request: request ID must be an unsigned integer"),
        (
            r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":{}}"#,
            2,
            "Invalid request: request ID must be an unsigned integer",
        ),
        (r#"{"method":"SUBSCRIBE","params":["btcusdt@nothing"],"id":1}"#, 2, "Invalid request: invalid stream"),
        (r#"{"method":"SUBSCRIBE","params":["xyzusdt@trade"],"id":1}"#, 2, "Invalid request: invalid stream"),
        (r#"{"method":"SUBSCRIBE","params":[7],"id":1}"#, 2, "Invalid request: invalid stream"),
        (r#"{"method":"SUBSCRIBE","id":1}"#, 2, "Invalid request: missing field `params`"),
        (r#"{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}"#, 2, "Invalid request: too many parameters"),
        (r#"{"method":"SET_PROPERTY","params":["other",true],"id":1}"#, 0, "Unknown property"),
        (r#"{"method":"SET_PROPERTY","params":["combined",1],"id":1}"#, 1, "Invalid value type: expected Boolean"),
        (r#"{"method":"SET_PROPERTY","params":["combined"],"id":1}"#, 1, "Invalid value type: expected Boolean"),
        (r#"{"method":"SET_PROPERTY","params":[true,true],"id":1}"#, 2, "Invalid request: property name must be a string"),
        (r#"{"method":"GET_PROPERTY","id":1}"#, 2, "Invalid request: property name must be a string"),
        (r#"{"method":"GET_PROPERTY","params":["combined",1],"id":1}"#, 2, "Invalid request: too many parameters"),
    ];
    for rows in rows.chunks(4) {
        let mut socket = Socket::open(&exchange.app, "/ws").await;
        for (message, code, text) in rows {
            socket.send(message).await;
            let reply = socket.json().await;
            assert_eq!((&reply["code"], &reply["error"]["code"]), (&json!(code), &json!(code)), "{message}: {reply}");
            assert!(
                reply["msg"].as_str().unwrap().starts_with(text) && reply["msg"] == reply["error"]["msg"],
                "{message}: {reply}"
            );
        }
        let listed = socket.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 9})).await;
        assert_eq!(listed, json!({"result": [], "id": 9}), "none of them had an effect");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_not_text_close_the_connection() {
    let exchange = Exchange::start().await;
    let rows = [
        (Message::Binary(vec![1, 2, 3].into()), CloseCode::Unsupported),
        (Message::Text("x".repeat(64 * 1024 + 1).into()), CloseCode::Size),
    ];
    for (message, code) in rows {
        let mut socket = Socket::open(&exchange.app, "/ws").await;
        socket.0.send(message).await.unwrap();
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_message_in_a_second_ends_the_connection() {
    let exchange = Exchange::start().await;
    for message in
        [Message::Text(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#.into()), Message::Ping("x".into()), Message::Pong("x".into())]
    {
        let mut socket = Socket::open(&exchange.app, "/ws").await;
        for _ in 0..6 {
            let _ = socket.0.feed(message.clone()).await;
        }
        let _ = socket.0.flush().await;
        assert_eq!(socket.closed().await.map(|(code, _)| code), Some(CloseCode::Policy), "{message:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_and_handshakes_are_refused_as_http() {
    let exchange = Exchange::start().await;
    let app = &exchange.app;
    let unknown = |name: &str| format!("Data sent for parameter 'streams' is not valid: unknown stream '{name}'.");
    assert_eq!(
        Socket::refused(app, "/ws/btcusdt@nothing").await,
        (400, json!({"code": -1130, "msg": unknown("btcusdt@nothing")}))
    );
    assert_eq!(Socket::refused(app, "/stream?streams=btcusdt").await, (400, json!({"code": -1130, "msg": unknown("btcusdt")})));
    let (status, body) = Socket::refused(app, "/ws?timeUnit=second").await;
    assert_eq!((status, &body["code"]), (400, &json!(-1194)));
    let plain = exchange.public("/ws/btcusdt@trade", "").await;
    assert_eq!((plain.error().0, plain.header("upgrade")), (426, Some("websocket")));
    let posted = exchange.send(reqwest::Method::POST, "/ws", "", None, None).await;
    assert_eq!(posted.error().0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_at_most_1024_streams() {
    let exchange = Exchange::start().await;
    let kinds = ["trade", "aggTrade", "bookTicker", "depth", "depth@100ms", "depth@1000ms", "ticker", "miniTicker", "avgPrice"];
    // Two markets do not have 1,024 streams: more markets, as an operator would create them.
    for index in 0..120 {
        let (base, quote) = (exchange.asset("BTC"), exchange.asset("USDT"));
        let symbol = format!("M{index}USDT").into();
        let filters = exchange_core::market::Filters::default();
        let commission = crate::exchange::COMMISSION;
        exchange.admin(exchange_core::command::AdminAction::CreateMarket { symbol, base, quote, filters, commission }).await;
    }
    let names: Vec<String> = (0..120).flat_map(|index| kinds.map(|kind| format!("m{index}usdt@{kind}"))).collect();
    let mut socket = Socket::open(&exchange.app, "/ws").await;
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "params": &names[..1024], "id": 1})).await;
    assert_eq!(reply["result"], json!(null));
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "params": &names[1020..1025], "id": 2})).await;
    assert_eq!(reply["error"]["msg"], "Invalid request: a connection can listen to a maximum of 1024 streams");
    let reply = socket.ask(json!({"method": "SUBSCRIBE", "params": &names[..1024], "id": 3})).await;
    assert_eq!(reply["result"], json!(null), "repeated names do not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_become_one_message() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let exchange = Exchange::start().await;
    let mut socket = Socket::open(&exchange.app, "/ws").await;
    let text = br#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#;
    let parts = [
        (&text[..9], OpCode::Data(Data::Text), false),
        (&text[9..20], OpCode::Data(Data::Continue), false),
        (&text[20..], OpCode::Data(Data::Continue), true),
    ];
    for (part, code, last) in parts {
        socket.0.send(Message::Frame(Frame::message(part.to_vec(), code, last))).await.unwrap();
    }
    assert_eq!(socket.json().await, json!({"result": [], "id": 1}));
    // A fragment that begins in the middle violates the protocol.
    socket.0.send(Message::Frame(Frame::message(text.to_vec(), OpCode::Data(Data::Continue), true))).await.unwrap();
    assert_eq!(socket.closed().await.map(|(code, _)| code), Some(CloseCode::Protocol));
    assert!(socket.0.next().await.is_none_or(|last| last.is_err()));
}
