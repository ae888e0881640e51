//! A proxy to the real store with injected faults. It passes requests on, answers instead of the store, holds or damages them, or
//! cuts the connection. Each request has its own connection.

use std::sync::{Arc, Mutex};

use backup::config::ObjectStoreSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

const LARGEST_HEAD: usize = 64 << 10;
/// Bytes of a body that arrive before the cut.
const BEFORE_THE_CUT: usize = 100_000;

/// A request's head, and its number.
pub struct Request<'a> {
    pub method: &'a str,
    pub target: &'a str,
    /// First line and header fields.
    pub head: &'a str,
    pub number: usize,
}

impl Request<'_> {
    /// Whether the request writes rows or blobs.
    pub fn writes_data(&self) -> bool {
        matches!(self.method, "PUT" | "POST") && self.target.contains("/data/")
    }

    pub fn writes_manifest(&self) -> bool {
        self.method == "PUT" && self.target.contains("/manifests/")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    Pass,
    /// An error response of the store.
    Answer(u16, &'static str),
    /// One byte of the body is changed.
    Damage,
    /// The connection is cut during the body.
    Cut,
    /// The store executes the request, and its response is lost.
    LoseAnswer,
    /// The connection is cut during the response.
    CutAnswer,
    /// The response stops in its middle, and the connection remains open.
    StallAnswer,
    /// The request waits until the gate is opened, and then passes.
    Hold,
}

type Rule = Box<dyn FnMut(&Request<'_>) -> StoreFault + Send>;

pub struct FaultyStore {
    pub settings: ObjectStoreSettings,
    gate: watch::Sender<bool>,
    held: watch::Receiver<usize>,
}

impl FaultyStore {
    /// A proxy to the store of `settings`.
    pub async fn before(settings: &ObjectStoreSettings, rule: impl FnMut(&Request<'_>) -> StoreFault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let upstream = settings.endpoint.clone().unwrap().trim_start_matches("http://").to_owned();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(rule)));
        let (gate, (hold, held)) = (watch::Sender::new(false), watch::channel(0));
        let (hold, counted) = (Arc::new(hold), Arc::new(Mutex::new(0)));
        tokio::spawn({
            let gate = gate.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let passage = Passage {
                        upstream: upstream.clone(),
                        rule: Arc::clone(&rule),
                        gate: gate.subscribe(),
                        held: Arc::clone(&hold),
                        counted: Arc::clone(&counted),
                    };
                    // Errors here are intended, or the client must detect them.
                    tokio::spawn(async move { passage.pass(stream).await.ok() });
                }
            }
        });
        Self { settings: ObjectStoreSettings { endpoint: Some(endpoint), ..settings.clone() }, gate, held }
    }

    /// Waits until a request is held: the run is then stopped in the middle.
    pub async fn held(&self) {
        let _ =
            tokio::time::timeout(std::time::Duration::from_secs(60), self.held.clone().wait_for(|held| *held > 0)).await.unwrap();
    }

    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }
}

struct Passage {
    upstream: String,
    rule: Arc<Mutex<Rule>>,
    gate: watch::Receiver<bool>,
    held: Arc<watch::Sender<usize>>,
    counted: Arc<Mutex<usize>>,
}

impl Passage {
    async fn pass(mut self, mut client: TcpStream) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if bytes.len() > LARGEST_HEAD || client.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut body = bytes.split_off(end + 4);
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok())
            .unwrap_or(0);
        let fault = {
            let mut counted = self.counted.lock().unwrap();
            let number = *counted;
            *counted += 1;
            (self.rule.lock().unwrap())(&Request { method, target, head: &head, number })
        };
        if fault == StoreFault::Cut {
            while body.len() < length.min(BEFORE_THE_CUT) && client.read_buf(&mut body).await? > 0 {}
            return Ok(());
        }
        while body.len() < length && client.read_buf(&mut body).await? > 0 {}
        match fault {
            StoreFault::Answer(status, code) => {
                let text =
                    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected by the test</Message></Error>");
                let answer = format!(
                    "HTTP/1.1 {status} No\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    text.len()
                );
                client.write_all((answer + &text).as_bytes()).await?;
                return client.shutdown().await;
            }
            StoreFault::Hold => {
                self.held.send_modify(|held| *held += 1);
                let _ = self.gate.wait_for(|open| *open).await;
            }
            StoreFault::Damage => {
                let middle = body.len() / 2;
                body.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
            }
            _ => {}
        }
        let mut store = TcpStream::connect(&self.upstream).await?;
        store.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
        store.write_all(&body).await?;
        if matches!(fault, StoreFault::LoseAnswer | StoreFault::CutAnswer | StoreFault::StallAnswer) {
            let mut answer = Vec::new();
            store.read_to_end(&mut answer).await?;
            let kept = if fault == StoreFault::LoseAnswer { 0 } else { answer.len() / 2 };
            client.write_all(&answer[..kept]).await?;
            if fault == StoreFault::StallAnswer {
                let _ = self.gate.wait_for(|open| *open).await;
            }
            return Ok(());
        }
        tokio::io::copy(&mut store, &mut client).await?;
        client.shutdown().await
    }
}
