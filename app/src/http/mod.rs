//! The REST API: every route, and what a running API holds. Never: SQL, arithmetic on money, a matching rule.
//!
//! A request passes [`edge`] (body, weight, signature, headers, metrics), then its endpoint's handler. Shapes, codes and texts are
//! those of the public Binance Spot API documentation (rest-api.md, errors.md).

mod account;
mod address;
mod auth;
mod body;
mod edge;
pub mod endpoint;
pub mod error;
pub mod json;
mod keys;
pub mod limits;
mod listener;
pub mod parameters;

pub use keys::Keys;

use crate::config::RateLimits;
use crate::metrics::HttpMetrics;
use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use endpoint::{Endpoint, Security, Weight, handler};
use error::ApiError;
use ipnet::IpNet;
use limits::Limits;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the API is told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    pub rate_limits: RateLimits,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// What every handler gets.
pub struct App {
    /// History only: no trading request waits for it.
    pub pool: PgPool,
    pub keys: Keys,
    pub limits: Limits,
    pub settings: Settings,
    pub metrics: HttpMetrics,
}

impl App {
    pub fn new(pool: PgPool, keys: Keys, settings: Settings, metrics: HttpMetrics) -> Self {
        Self { pool, keys, limits: Limits::new(settings.rate_limits), settings, metrics }
    }
}

/// Every endpoint. The reference document is made from this table.
pub static ENDPOINTS: &[Endpoint] = &[Endpoint {
    method: Method::GET,
    path: "/api/v3/rateLimit/order",
    group: "account",
    weight: Weight::Fixed(40),
    security: Security::UserData,
    parameters: &[],
    summary: "Unfilled order count of the account",
    handle: handler!(account::order_count),
}];

/// Endpoints of the original that this exchange does not have: -1020.
pub const UNSUPPORTED: &[(Method, &str)] = &[
    (Method::PUT, "/api/v3/order/amend/keepPriority"),
    (Method::POST, "/api/v3/order/oco"),
    (Method::POST, "/api/v3/orderList/oto"),
    (Method::POST, "/api/v3/orderList/otoco"),
    (Method::POST, "/api/v3/orderList/opo"),
    (Method::POST, "/api/v3/orderList/opoco"),
    (Method::POST, "/api/v3/sor/order"),
    (Method::POST, "/api/v3/sor/order/test"),
    (Method::GET, "/api/v3/myPreventedMatches"),
    (Method::GET, "/api/v3/myAllocations"),
    (Method::GET, "/api/v3/order/amendments"),
    (Method::GET, "/api/v3/myFilters"),
    (Method::GET, "/api/v3/executionRules"),
    (Method::GET, "/api/v3/referencePrice"),
    (Method::GET, "/api/v3/referencePrice/calculation"),
    (Method::GET, "/api/v3/historicalBlockTrades"),
    (Method::GET, "/api/v3/uiKlines"),
    (Method::GET, "/api/v3/ticker"),
    (Method::GET, "/api/v3/ticker/tradingDay"),
];

/// The whole API as a service.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        let app = Arc::clone(&app);
        let answer = move |request: Request| edge::answer(Arc::clone(&app), endpoint, request);
        router = router.route(endpoint.path, on(filter(&endpoint.method), answer));
    }
    for (method, path) in UNSUPPORTED {
        router = router.route(path, on(filter(method), refusing(&app, || ApiError::UNSUPPORTED)));
    }
    router
        .fallback(refusing(&app, || ApiError::NOT_FOUND))
        .method_not_allowed_fallback(refusing(&app, || ApiError::METHOD_NOT_ALLOWED))
}

/// Serves the API on `listener` until `shutdown`.
///
/// # Errors
/// None at present: a failed accept is logged and tried again.
pub async fn serve(listener: TcpListener, app: App, shutdown: CancellationToken) -> std::io::Result<()> {
    let connections = app.metrics.connections.clone();
    listener::serve(listener, router(app), connections, shutdown).await
}

fn refusing(
    app: &Arc<App>,
    error: fn() -> ApiError,
) -> impl Fn(Request) -> std::pin::Pin<Box<dyn Future<Output = axum::response::Response> + Send>> + Clone + Send + Sync + 'static
{
    let app = Arc::clone(app);
    move |request| Box::pin(edge::refuse(Arc::clone(&app), error(), request))
}

/// The table holds these methods only.
fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}
