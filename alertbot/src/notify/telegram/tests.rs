//! Tests of the connection to Telegram: TLS, and the configured proxy.

use tokio::{io::AsyncReadExt, net::TcpListener};

use super::*;

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// First bytes received at `listener` when a message is sent.
async fn begins(listener: &TcpListener, api_url: &str, proxy: Option<String>, bytes: usize) -> Vec<u8> {
    let (token, proxy) = (Secret::from("1:token".to_owned()), proxy.map(Secret::from));
    let telegram = Telegram::new(&token, api_url, proxy.as_ref(), TIMEOUT).unwrap();
    let text = ChatText { text: "text".to_owned(), ..ChatText::default() };
    let call = TelegramCall::Send { place: ChatPlace { chat: -1, topic: None }, text, reply_to: None, silent: false };
    let calling = tokio::spawn(async move { telegram.call(&call).await });
    let (mut stream, _) = tokio::time::timeout(TIMEOUT, listener.accept()).await.expect("somebody calls").unwrap();
    let mut begin = vec![0; bytes];
    stream.read_exact(&mut begin).await.unwrap();
    drop(stream);
    assert_ne!(calling.await.unwrap().name(), "delivered");
    begin
}

#[tokio::test]
async fn the_connection_to_the_api_uses_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    // A record of the handshake (RFC 8446, section 5.1).
    assert_eq!(begins(&listener, &url, None, 1).await, [0x16]);
}

/// One row per kind of proxy: the expected first request. The client must not resolve or call any address but the proxy's.
#[tokio::test]
async fn the_configured_proxy_is_used() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (scheme, api_url, expected) in [
        ("http", "https://api.telegram.invalid", &b"CONNECT api.telegram.invalid:443 HTTP/1.1\r\n"[..]),
        ("http", "http://api.telegram.invalid", b"POST http://api.telegram.invalid/bot1:token/SendMessage HTTP/1.1\r\n"),
        // Version 5 (RFC 1928, section 3).
        ("socks5h", "https://api.telegram.invalid", &[5]),
    ] {
        let proxy = format!("{scheme}://{address}");
        let begin = begins(&listener, api_url, Some(proxy), expected.len()).await;
        assert_eq!(String::from_utf8_lossy(&begin), String::from_utf8_lossy(expected), "{scheme}");
    }
}
