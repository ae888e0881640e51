//! The age of an Alertmanager, by its own clock.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Answers one request for the status with this head.
async fn replica(head: &'static str, uptime: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..read]);
        }
        let body = format!("{{\"uptime\":\"{uptime}\"}}");
        let answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    url
}

/// This host's clock is a day ahead, or a day behind: an Alertmanager that started a minute ago is a minute old. A host ahead took
/// the empty list of a restarted Alertmanager for the end of every alert; a host behind did not reconcile for a day.
#[tokio::test]
async fn the_age_of_an_alertmanager_is_by_its_own_clock() {
    const DATE: &str = "Date: Tue, 01 Dec 2026 02:01:00 GMT\r\n";
    for wall in ["2026-12-02T02:01:00Z", "2026-11-30T02:01:00Z", "2026-12-01T02:01:00Z"] {
        for (heads, seconds) in [
            ([DATE, DATE], 60),
            // Without a date, the clock of this host is all there is.
            (["", ""], 60 + wall.parse::<Timestamp>().unwrap().duration_since("2026-12-01T02:01:00Z".parse().unwrap()).as_secs()),
        ] {
            let urls = vec![replica(heads[0], "2026-11-01T02:00:00Z").await, replica(heads[1], "2026-12-01T02:00:00Z").await];
            let client = AlertmanagerClient { name: "main".into(), urls, credentials: None, client: Client::new() };
            assert_eq!(client.up_for(wall.parse().unwrap()).await.unwrap().as_secs(), seconds, "{wall} {heads:?}");
        }
    }
}
