//! This module assembles `exchange serve`: listeners, readiness, the engine, the API, and the order in which they stop. It must
//! not contain their work.

use std::{
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::Router;
use service_kit::{
    admin::{self, Admin},
    health::{Health, Latch},
    metrics::{IntGauge, Metrics},
    shutdown::Shutdown,
    telemetry::LogLevel,
};
use sqlx::PgPool;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::{
    api_key::Vault,
    assets, config,
    db::session,
    engine::{self, Engine, Replica, history::History, internal, projection},
    http,
    key_shipping::KeyShipping,
    media::Media,
    metrics::{EngineMetrics, FollowerMetrics, HttpMetrics, ObjectStorageMetrics, ShipMetrics, StreamMetrics},
    operator,
};

/// Connections that the kernel accepts for the API before it does.
const BACKLOG: u32 = 1024;
/// Time without an open connection after which a server that shuts down stops: proxies have noticed.
const UNUSED: Duration = Duration::from_millis(500);
/// How long the last API requests may delay the hand-over of a leader without followers.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Listen addresses of a server.
pub struct Listeners {
    /// The API: bound, and listening only from the first readiness on. Until then a proxy's connection is refused, and the proxy
    /// uses another server.
    pub http: TcpSocket,
    /// Metrics, liveness, readiness.
    pub admin: TcpListener,
    /// The other replicas and operators.
    pub internal: TcpListener,
}

/// The subcommand.
pub async fn run(settings: config::ServeSettings, level: LogLevel, shutdown: Shutdown) -> anyhow::Result<()> {
    let listeners = Listeners {
        http: bind_later(settings.http_listen, "EXCHANGE_HTTP_LISTEN")?,
        admin: bind(settings.admin_listen, "EXCHANGE_ADMIN_LISTEN").await?,
        internal: bind(settings.internal_listen, "EXCHANGE_INTERNAL_LISTEN").await?,
    };
    Server::build(listeners, settings, level, shutdown)?.run().await
}

/// `exchange publish`.
pub async fn publish(settings: config::Publish) -> anyhow::Result<()> {
    let storage = ObjectStorageMetrics::register(&Metrics::new("exchange", env!("CARGO_PKG_VERSION"), None))?;
    let media = Media::new(&settings.object_storage, storage);
    for (object, new) in assets::publish_assets(&media).await? {
        println!("{}", serde_json::json!({ "object": object, "new": new }));
    }
    Ok(())
}

/// One replica with its listeners, ready to run.
pub struct Server {
    pub engine: Engine,
    pub health: Health,
    pub pool: PgPool,
    replica: Replica,
    listeners: Listeners,
    app: http::App,
    internal: Router,
    admin: Admin,
    shutdown: Shutdown,
    drain: Duration,
    serving: Latch,
    keys: Latch,
    key_shipping: Option<KeyShipping>,
}

impl Server {
    /// Does not connect yet: a database that is unreachable is retried, and readiness reports the wait. Call it inside the
    /// runtime.
    pub fn build(
        listeners: Listeners,
        settings: config::ServeSettings,
        level: LogLevel,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), option_env!("EXCHANGE_COMMIT"));
        let health = Health::new();
        let serving = health.latch("serving", "starting");
        serving.open();
        let keys_read = health.latch("keys", "reading the API keys");
        let pool = session::pool(settings.database.pool_size)
            .connect_lazy_with(settings.database.options.clone().application_name("exchange serve"));
        let address = match settings.internal.advertise {
            Some(address) => address,
            None => listeners.internal.local_addr()?.to_string(),
        };
        let storage = ObjectStorageMetrics::register(&metrics)?;
        let media = settings.object_storage.as_ref().map(|settings| Media::new(settings, storage));
        let ship = ShipMetrics::register(&metrics)?;
        let (engine, replica) = engine::start(engine::EngineParts {
            database: settings.database.options,
            pool: pool.clone(),
            media: media.clone(),
            address,
            queue_limit: settings.queue_limit,
            clock: engine::clock::Clock::new(settings.clock_bound),
            token: settings.internal.token.clone(),
            lag_max: settings.follower_lag_max,
            order_limits: engine::OrderLimits {
                ten_seconds: settings.rate_limits.orders_10s,
                one_day: settings.rate_limits.orders_1d,
            },
            metrics: EngineMetrics::register(&metrics)?,
            follower: FollowerMetrics::register(&metrics)?,
            ship: ship.clone(),
            health: health.clone(),
        });
        let vault = Vault::new(&settings.key_encryption_key, settings.key_encryption_key_previous.as_slice());
        let keys = http::Keys::new(vault.clone());
        let (shipped_pool, shipped_vault) = (pool.clone(), vault.clone());
        let files = http::StatementFiles { pool: pool.clone(), media: media.clone() };
        let key_shipping = media.map(|media| KeyShipping {
            engine: engine.clone(),
            pool: shipped_pool,
            media,
            vault: shipped_vault,
            metrics: ship,
        });
        let told = http::HttpSettings {
            rate_limits: settings.rate_limits,
            trusted_proxies: settings.trusted_proxies,
            access_log: settings.access_log,
            write_timeout: settings.write_timeout,
            connections_per_address: settings.connections_per_address,
        };
        let replica_pool = settings.replica.map(|options| {
            let options = options.application_name("exchange serve");
            session::pool(settings.database.pool_size).connect_lazy_with(options)
        });
        let history = History::new(pool.clone(), replica_pool, Arc::clone(engine.committed()));
        let operators = operator::routes(engine.clone(), pool.clone(), vault, keys.clone());
        let internal = internal::guarded(
            operators.merge(engine::link::server::routes(&engine)).merge(engine::peers::routes(&engine)),
            settings.internal.token,
        );
        let (rest, streams) = (HttpMetrics::register(&metrics)?, StreamMetrics::register(&metrics)?);
        let app = http::App::new(engine.clone(), history, keys, told, rest, streams, files);
        let admin = Admin { metrics, health: health.clone(), log_level: level };
        Ok(Self {
            engine,
            health,
            pool,
            replica,
            listeners,
            app,
            internal,
            admin,
            shutdown,
            drain: settings.drain,
            serving,
            keys: keys_read,
            key_shipping,
        })
    }

    /// Serves until the shutdown, or until the replica cannot follow the journal.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self {
            engine,
            health,
            pool,
            replica,
            listeners,
            app,
            internal,
            admin,
            shutdown,
            drain,
            serving,
            keys,
            key_shipping,
            ..
        } = self;
        let token = shutdown.token();
        let stages = Stages::default();
        tokio::spawn(projection::follow_projection(pool.clone(), Arc::clone(engine.committed()), stages.stop.clone()));
        if let Some(key_shipping) = key_shipping {
            tokio::spawn(key_shipping.run(stages.stop.clone()));
        }
        tokio::spawn(app.keys.clone().follow(pool, keys, stages.stop.clone()));
        let closing = http::Closing { asked: token.clone(), last: stages.last_requests.clone() };
        let connections = app.metrics.connections.clone();
        let (socket, draining, ending) = (listeners.http, stages.drained.clone().drop_guard(), token.clone());
        spawn(&shutdown, "API", async move {
            let _draining = draining;
            if ending.run_until_cancelled(health.ready()).await.is_none() {
                return Ok(());
            }
            http::serve(socket.listen(BACKLOG)?, app, closing).await
        });
        let ending = stages.stop.clone().cancelled_owned();
        spawn(&shutdown, "internal listener", async move {
            axum::serve(listeners.internal, internal).with_graceful_shutdown(ending).await
        });
        // Open until the end, so that Prometheus can scrape the last minutes and readiness reports the stop.
        tokio::spawn(admin::serve(listeners.admin, std::future::pending(), admin));
        let (retire, stop) = (stages.retire.clone(), stages.stop.clone());
        tokio::spawn(async move {
            token.cancelled().await;
            serving.close("shutting down");
            stages.end(&engine, &connections, drain).await;
        });
        replica.run(retire, stop).await
    }
}

/// The steps of a shutdown.
#[derive(Default)]
struct Stages {
    /// The engine hands the lead over and follows.
    retire: CancellationToken,
    /// The API accepts no further connection.
    last_requests: CancellationToken,
    /// The API has answered its last request.
    drained: CancellationToken,
    /// The engine stops.
    stop: CancellationToken,
}

impl Stages {
    /// With another replica at hand, the lead goes to it at once and this server forwards commands while proxies still use their
    /// connections. Otherwise this server leads until its last request is answered.
    async fn end(&self, engine: &Engine, connections: &IntGauge, drain: Duration) {
        let mut last = DRAIN_TIMEOUT;
        if engine.followers() > 0 || !engine.is_leader() {
            self.retire.cancel();
            let _ = tokio::time::timeout(drain, unused(connections)).await;
            // Requests in progress wait for the next leader, and for its batches.
            last = engine::HOLD;
        }
        self.last_requests.cancel();
        let _ = tokio::time::timeout(last, self.drained.cancelled()).await;
        self.retire.cancel();
        self.stop.cancel();
    }
}

/// Returns once no connection has been open for a while.
async fn unused(connections: &IntGauge) {
    let mut since = Instant::now();
    while since.elapsed() < UNUSED {
        if connections.get() > 0 {
            since = Instant::now();
        }
        tokio::time::sleep(UNUSED / 10).await;
    }
}

/// A listener's task, which the shutdown waits for.
fn spawn(shutdown: &Shutdown, name: &'static str, serving: impl Future<Output = std::io::Result<()>> + Send + 'static) {
    let part = shutdown.part(name);
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, listener = name, "a listener failed");
        }
        drop(part);
    });
}

/// A socket that listens later. The port is taken now, so that a wrong setting is reported at the start.
fn bind_later(address: SocketAddr, setting: &str) -> anyhow::Result<TcpSocket> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok::<_, std::io::Error>(socket)
    };
    let socket = bound().with_context(|| format!("{setting}={address} cannot be bound"))?;
    tracing::info!(setting, address = %socket.local_addr()?, "listening once this server is ready");
    Ok(socket)
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{setting}={address} cannot be bound"))?;
    tracing::info!(setting, address = %listener.local_addr()?, "listening");
    Ok(listener)
}
