//! A webhook and the messages that it causes are one trace, against a receiver that refuses what breaks OTLP.

use std::{collections::BTreeMap, ffi::OsString};

use jiff::Timestamp;
use local_parts::{TraceReceiver, find_program};
use serde_json::json;
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Settings, WEBHOOK_TOKEN, until},
    payloads::{alert, group},
    program::Program,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn a_webhook_and_its_message_are_one_trace() {
    let receiver = TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    let under: [OsString; 3] = [
        find_program("env").unwrap().into(),
        format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", receiver.endpoint).into(),
        "OTEL_BSP_SCHEDULE_DELAY=200".into(),
    ];
    let program = Program::start(&mut settings, &under).await;
    let labels = json!({"alertname": "Traced", "severity": "critical"});
    let payload = group("traced", &[alert("firing", labels, Timestamp::now())]);
    let request = program.client.post(format!("{}/webhook/main", program.url)).bearer_auth(WEBHOOK_TOKEN).json(&payload);
    let request = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    assert!(request.send().await.unwrap().status().is_success());
    until("both spans have arrived", async || receiver.trace(TRACE).len() >= 2).await;

    let spans: BTreeMap<_, _> = receiver.trace(TRACE).into_iter().map(|span| (span.name.clone(), span)).collect();
    let (webhook, deliver) = (&spans["POST /webhook/{name}"], &spans["deliver"]);
    assert_eq!((webhook.kind, webhook.parent_id.as_str()), ("server", "b7ad6b7169203331"));
    assert_eq!((deliver.kind, &deliver.parent_id), ("producer", &webhook.span_id), "{spans:#?}");
    assert_eq!(receiver.faults(), Vec::<String>::new());
}
