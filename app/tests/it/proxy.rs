//! This module is a TCP proxy in front of PostgreSQL that fails on purpose: it stalls, or cuts the connection around a chosen
//! statement.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

/// When to cut the connection, once a request that contains the needle arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never receives the request.
    BeforeRequest,
    /// The server has answered; the client never receives the answer.
    BeforeReply,
}

/// Listens on a separate port for its lifetime.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<String>,
    armed: Mutex<Option<(Vec<u8>, Cut)>>,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Mutex::new(server.to_owned());
        let shared = Arc::new(Shared { server, armed: Mutex::new(None), stalled: watch::Sender::new(false) });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, shared) = (accepting.server.lock().unwrap().clone(), Arc::clone(&accepting));
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        forward(client, server, &shared).await;
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// The database's address through the proxy.
    pub fn url(&self, url: &str) -> String {
        let (start, rest) = url.split_once('@').expect("a user in the address");
        let (_, database) = rest.split_once('/').expect("a database in the address");
        format!("{start}@{}/{database}", self.address)
    }

    /// The proxy's own address, for an HTTP server behind it.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Directs new connections to another server, as after a failover.
    pub fn point_to(&self, server: &str) {
        server.clone_into(&mut self.shared.server.lock().unwrap());
    }

    /// Cuts the connection of the next request that holds `needle`.
    pub fn cut_at(&self, needle: &str, cut: Cut) {
        *self.shared.armed.lock().unwrap() = Some((needle.as_bytes().to_vec(), cut));
    }

    /// Forwards nothing in either direction and closes nothing: simulates a paused machine.
    pub fn stall(&self) {
        self.shared.stalled.send_replace(true);
    }

    /// Forwards the held bytes.
    pub fn resume(&self) {
        self.shared.stalled.send_replace(false);
    }
}

/// `host:port` of a database's address.
pub fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').expect("a user in the address");
    rest.split_once('/').expect("a database in the address").0
}

impl Shared {
    async fn passes(&self) {
        let _ = self.stalled.subscribe().wait_for(|stalled| !stalled).await;
    }

    fn hits(&self, request: &[u8]) -> Option<Cut> {
        let mut armed = self.armed.lock().unwrap();
        let hit = armed.as_ref().is_some_and(|(needle, _)| request.windows(needle.len()).any(|window| window == needle));
        if hit { armed.take().map(|(_, cut)| cut) } else { None }
    }
}

async fn forward(client: TcpStream, server: TcpStream, shared: &Shared) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    let swallow_reply = watch::Sender::new(false);
    let requests = async {
        let mut buffer = vec![0; 1 << 16];
        while let Some(request) = next(&mut from_client, &mut buffer).await {
            shared.passes().await;
            match shared.hits(request) {
                Some(Cut::BeforeRequest) => return,
                Some(Cut::BeforeReply) => _ = swallow_reply.send_replace(true),
                None => {}
            }
            if to_server.write_all(request).await.is_err() {
                return;
            }
        }
    };
    let replies = async {
        let mut buffer = vec![0; 1 << 16];
        while let Some(reply) = next(&mut from_server, &mut buffer).await {
            shared.passes().await;
            if *swallow_reply.borrow() || to_client.write_all(reply).await.is_err() {
                return;
            }
        }
    };
    // Either end closes both.
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}

async fn next<'a>(from: &mut tcp::OwnedReadHalf, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    match from.read(buffer).await {
        Ok(length) if length > 0 => Some(&buffer[..length]),
        _ => None,
    }
}
