//! Messages go both ways, in both alphabets, whole.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Accepts requests, answers each with 200 and returns its first line.
async fn next_request(listener: &TcpListener) -> String {
    let accepted = tokio::time::timeout(READY_DEADLINE, listener.accept()).await;
    let (mut stream, _) = accepted.expect("a request in time").unwrap();
    let mut buffer = vec![0; 4096];
    let length = stream.read(&mut buffer).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned()
}

async fn send(kannel: &Kannel, text: &str, own: &[(&str, &str)]) -> u16 {
    let access = kannel.access();
    let mut url = reqwest::Url::parse(&access.sendsms_url).unwrap();
    let given =
        [("username", &*access.username), ("password", &*access.password), ("from", "1000"), ("to", "+49123"), ("text", text)];
    url.query_pairs_mut().extend_pairs(given).extend_pairs(own);
    reqwest::get(url).await.unwrap().status().as_u16()
}

async fn until_sent(kannel: &Kannel, count: usize) -> Vec<SentSms> {
    let end = Instant::now() + READY_DEADLINE;
    loop {
        let sent = kannel.sent();
        if sent.len() >= count {
            return sent;
        }
        assert!(Instant::now() < end, "only {sent:?} of {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn messages_go_out_and_come_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut kannel = Kannel::start(KannelOptions { inbound_url: Some(format!("http://{address}/in")) }).await.unwrap();
    let report = format!("http://{address}/report?status=%d");
    assert_eq!(send(&kannel, "Disk full", &[("dlr-mask", "31"), ("dlr-url", &report)]).await, 202);
    assert_eq!(send(&kannel, &"دیسک پر است ".repeat(8), &[("coding", "2"), ("charset", "UTF-8")]).await, 202);
    let sent = until_sent(&kannel, 3).await;
    assert_eq!((sent[0].text.as_str(), sent[0].to.as_str(), sent[0].is_ucs2), ("Disk full", "+49123", false));
    assert_eq!([sent[1].part, sent[2].part], [Some((1, 2)), Some((2, 2))]);
    assert_eq!(format!("{}{}", sent[1].text, sent[2].text).trim(), "دیسک پر است ".repeat(8).trim());
    let reports = [next_request(&listener).await, next_request(&listener).await];
    assert!(reports.iter().any(|line| line.contains("/report?status=1 ")), "{reports:?}");

    let (received, request) = tokio::join!(kannel.receive("+49555", "1000", "ACK 1234"), next_request(&listener));
    received.unwrap();
    assert!(request.starts_with("GET /in?from=%2B49555&to=1000&text=ACK+1234&coding=0&id="), "{request}");
    let (received, request) = tokio::join!(kannel.receive("+49555", "1000", "دریافت"), next_request(&listener));
    received.unwrap();
    // UTF-16 in big-endian order, whatever a service would like.
    assert!(request.contains("text=%06%2F%061%06%CC%06'%06A%06*&coding=2&"), "{request}");

    // Messages accepted without a network are delivered when it is back.
    kannel.disconnect_network().await.unwrap();
    assert_eq!(send(&kannel, "late", &[]).await, 202);
    kannel.connect_network().await.unwrap();
    let sent = until_sent(&kannel, 4).await;
    assert_eq!(sent[3].text, "late");
}
