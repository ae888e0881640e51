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
mod general;
pub mod json;
mod keys;
pub mod limits;
mod listener;
mod market_data;
pub mod parameters;

pub use keys::Keys;

use crate::config::RateLimits;
use crate::engine::Engine;
use crate::engine::history::History;
use crate::metrics::HttpMetrics;
use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use endpoint::{Endpoint, Security, Weight, handler};
use error::ApiError;
use ipnet::IpNet;
use limits::Limits;
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
    pub engine: Engine,
    /// No trading request waits for it.
    pub history: History,
    pub keys: Keys,
    pub limits: Limits,
    pub settings: Settings,
    pub metrics: HttpMetrics,
    symbol_rules: general::SymbolRules,
}

impl App {
    pub fn new(engine: Engine, history: History, keys: Keys, settings: Settings, metrics: HttpMetrics) -> Self {
        let limits = Limits::new(settings.rate_limits);
        metrics.start_at_zero(ENDPOINTS.iter().map(|endpoint| endpoint.group).chain([edge::UNKNOWN_GROUP]));
        Self { engine, history, keys, limits, settings, metrics, symbol_rules: general::SymbolRules::default() }
    }
}

/// Every endpoint. The reference document is made from this table.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: Method::GET,
        path: "/api/v3/ping",
        group: "general",
        weight: Weight::Fixed(1),
        security: Security::None,
        parameters: &[],
        summary: "Test connectivity",
        handle: handler!(general::ping),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/time",
        group: "general",
        weight: Weight::Fixed(1),
        security: Security::None,
        parameters: &[],
        summary: "Server time",
        handle: handler!(general::time),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/exchangeInfo",
        group: "general",
        weight: Weight::Fixed(20),
        security: Security::None,
        parameters: &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"],
        summary: "Trading rules, symbols and rate limits",
        handle: handler!(general::exchange_info),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/depth",
        group: "market_data",
        weight: Weight::Of(market_data::depth_weight),
        security: Security::None,
        parameters: &["symbol", "limit", "symbolStatus"],
        summary: "Order book",
        handle: handler!(market_data::depth),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/trades",
        group: "market_data",
        weight: Weight::Fixed(25),
        security: Security::None,
        parameters: &["symbol", "limit"],
        summary: "Recent trades",
        handle: handler!(market_data::trades),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/historicalTrades",
        group: "market_data",
        weight: Weight::Fixed(25),
        security: Security::None,
        parameters: &["symbol", "limit", "fromId"],
        summary: "Old trades by id",
        handle: handler!(market_data::historical_trades),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/aggTrades",
        group: "market_data",
        weight: Weight::Fixed(4),
        security: Security::None,
        parameters: &["symbol", "fromId", "startTime", "endTime", "limit"],
        summary: "Aggregate trades: those of one taker order at one price",
        handle: handler!(market_data::aggregate_trades),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/klines",
        group: "market_data",
        weight: Weight::Fixed(2),
        security: Security::None,
        parameters: &["symbol", "interval", "startTime", "endTime", "timeZone", "limit"],
        summary: "Candles",
        handle: handler!(market_data::klines),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/avgPrice",
        group: "market_data",
        weight: Weight::Fixed(2),
        security: Security::None,
        parameters: &["symbol"],
        summary: "Current average price",
        handle: handler!(market_data::average_price),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/ticker/24hr",
        group: "market_data",
        weight: Weight::Of(market_data::day_tickers_weight),
        security: Security::None,
        parameters: &["symbol", "symbols", "type", "symbolStatus"],
        summary: "Statistics of the last 24 hours",
        handle: handler!(market_data::day_tickers),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/ticker/price",
        group: "market_data",
        weight: Weight::Of(market_data::prices_weight),
        security: Security::None,
        parameters: &["symbol", "symbols", "symbolStatus"],
        summary: "Last price",
        handle: handler!(market_data::prices),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/ticker/bookTicker",
        group: "market_data",
        weight: Weight::Of(market_data::prices_weight),
        security: Security::None,
        parameters: &["symbol", "symbols", "symbolStatus"],
        summary: "Best prices of the order book",
        handle: handler!(market_data::book_tickers),
    },
    Endpoint {
        method: Method::GET,
        path: "/api/v3/rateLimit/order",
        group: "account",
        weight: Weight::Fixed(40),
        security: Security::UserData,
        parameters: &[],
        summary: "Unfilled order count of the account",
        handle: handler!(account::order_count),
    },
];

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
