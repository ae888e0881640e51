//! An exporter whose series a test chooses: values that no program of ours exports while it works.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub struct Imposter {
    pub address: String,
    series: Arc<Mutex<Vec<&'static str>>>,
    serving: JoinHandle<()>,
}

impl Imposter {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("binding an exporter")?;
        let address = listener.local_addr()?.to_string();
        let series = Arc::<Mutex<Vec<&'static str>>>::default();
        let shared = series.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, shared.clone()));
            }
        });
        Ok(Self { address, series, serving })
    }

    pub fn serve(&self, text: &'static str) {
        self.series.lock().expect("no thread panicked").push(text);
    }

    pub fn end(&self, text: &'static str) {
        self.series.lock().expect("no thread panicked").retain(|other| *other != text);
    }
}

impl Drop for Imposter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers each request on the connection, whatever its path.
async fn answer(mut stream: TcpStream, series: Arc<Mutex<Vec<&'static str>>>) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        let body = series.lock().expect("no thread panicked").concat();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}
