//! This module is a TCP proxy in front of PostgreSQL, one for each program of a run, so that a run can cut the connections of one
//! program and follow a failover. It must not read what it forwards.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens for its lifetime.
pub struct Proxy {
    address: SocketAddr,
    server: Arc<Mutex<String>>,
    /// Whether connections pass; a change to false ends the open ones.
    open: watch::Sender<bool>,
}

impl Proxy {
    /// A proxy of the server in the database address `url`.
    pub async fn start(url: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("binding a proxy")?;
        let proxy = Self {
            address: listener.local_addr()?,
            server: Arc::new(Mutex::new(server_of(url).to_owned())),
            open: watch::Sender::new(true),
        };
        let (server, open) = (Arc::clone(&proxy.server), proxy.open.subscribe());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = server.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut open = open.clone();
                if open.has_changed().is_err() {
                    return;
                }
                tokio::spawn(async move {
                    // Dropped without an answer while it is cut.
                    if *open.borrow_and_update() {
                        tokio::select! {
                            () = forward(client, &server) => {}
                            _ = open.changed() => {}
                        }
                    }
                });
            }
        });
        Ok(proxy)
    }

    /// The database's address through this proxy.
    pub fn url(&self, url: &str) -> String {
        url.replacen(server_of(url), &self.address.to_string(), 1)
    }

    /// Ends every connection and refuses new ones.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections pass, to the server in `url`. Ends those to the server before.
    pub fn point_to(&self, url: &str) {
        server_of(url).clone_into(&mut self.server.lock().unwrap_or_else(PoisonError::into_inner));
        self.open.send_replace(true);
    }
}

async fn forward(mut client: TcpStream, server: &str) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

/// `host:port` of a database's address.
fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap_or(("", url));
    rest.split_once('/').map_or(rest, |(server, _)| server)
}
