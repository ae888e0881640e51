//! This module is a whole server in the test's own process, with PostgreSQL behind it and ports chosen by the system.

use std::sync::LazyLock;

use exchange::{
    config,
    engine::Engine,
    serve::{Listeners, Server},
};
use service_kit::{
    health::Health,
    shutdown::Shutdown,
    telemetry::{self, Service, TelemetryGuard},
};
use sqlx::PgPool;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

use crate::replica::database;

/// The internal listener's token.
pub const INTERNAL_TOKEN: &str = "internal-token-of-the-tests";

/// 00 01 02 …, as in the settings below.
pub const KEY_ENCRYPTION_KEY: [u8; 32] = {
    let mut key = [0; 32];
    let mut at = 0;
    while at < key.len() {
        key[at] = at as u8;
        at += 1;
    }
    key
};

/// One subscriber per process.
static TELEMETRY: LazyLock<TelemetryGuard> = LazyLock::new(|| {
    let settings = telemetry::TelemetrySettings { level: "error".into(), ..telemetry::TelemetrySettings::default() };
    telemetry::init(Service { name: "exchange", version: "test" }, &settings).expect("telemetry starts once")
});

/// A running server. Dropping it starts its shutdown.
pub struct TestApp {
    /// `http://host:port` of the API.
    pub api: String,
    /// `http://host:port` of metrics and readiness.
    pub admin: String,
    /// `http://host:port` of the internal listener.
    pub internal: String,
    pub http: reqwest::Client,
    pub engine: Engine,
    pub health: Health,
    pub pool: PgPool,
    pub database_url: String,
    pub shutdown: Shutdown,
    pub running: JoinHandle<anyhow::Result<()>>,
}

impl TestApp {
    /// A server on an empty database; it leads when this returns.
    pub async fn start() -> Self {
        Self::on(database().await, |_| {}).await
    }

    /// A server on a database, with custom settings; it is ready when this returns.
    pub async fn on(database_url: String, change: impl FnOnce(&mut config::ServeSettings)) -> Self {
        let http = TcpSocket::new_v4().unwrap();
        http.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listeners = Listeners { http, admin: listener().await, internal: listener().await };
        let api = format!("http://{}", listeners.http.local_addr().unwrap());
        let [admin, internal] =
            [&listeners.admin, &listeners.internal].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
        let mut settings = settings(&database_url);
        change(&mut settings);
        let shutdown = Shutdown::new(settings.process.shutdown_deadline);
        let server = Server::build(listeners, settings, TELEMETRY.log_level(), shutdown.clone()).unwrap();
        let (engine, health, pool) = (server.engine.clone(), server.health.clone(), server.pool.clone());
        let running = tokio::spawn(server.run());
        tokio::time::timeout(crate::eventually::DEADLINE, health.ready()).await.expect("the server becomes ready");
        Self { api, admin, internal, http: reqwest::Client::new(), engine, health, pool, database_url, shutdown, running }
    }

    /// Stops the server and waits for its end.
    pub async fn end(mut self) {
        self.shutdown.begin("the test ends it");
        (&mut self.running).await.unwrap().unwrap();
        self.shutdown.drained().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.begin("the test has ended");
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn settings(database_url: &str) -> config::ServeSettings {
    config::load_from(
        [
            ("EXCHANGE_DATABASE_URL", database_url),
            ("EXCHANGE_INTERNAL_TOKEN", INTERNAL_TOKEN),
            ("EXCHANGE_KEY_ENCRYPTION_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
        ],
        config::ServeSettings::read,
    )
    .unwrap()
}
