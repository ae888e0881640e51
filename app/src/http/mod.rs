//! This module is the REST API: every route, and the shared parts of a running API. It must not contain SQL, arithmetic on money
//! or a matching rule.
//!
//! A request passes `edge` (body, weight, signature, headers, metrics), then its endpoint's handler. Shapes, codes and texts are
//! those of the public Binance Spot API documentation (rest-api.md, errors.md).

mod account;
mod address;
mod amend;
mod asyncapi;
mod auth;
mod body;
mod cancel_replace;
mod commission;
mod edge;
pub mod endpoint;
pub mod error;
mod execution_rules;
mod general;
mod history;
mod keys;
mod legacy_oco;
pub mod limits;
mod listen_key;
mod listener;
mod market_data;
mod new_order;
pub mod openapi;
mod order_count;
mod order_lists;
mod orders;
mod pages;
pub mod parameters;
mod prevented;
mod reports;
mod response;
mod statements;
mod transport;
mod verifier;
mod wallet;
mod websocket;

use crate::json;
pub use keys::Keys;
pub use listener::Closing;
pub use statements::StatementFiles;

use crate::config::RateLimits;
use crate::engine::Engine;
use crate::engine::committed::FirstFills;
use crate::engine::history::History;
use crate::engine::weights;
use crate::metrics::{HttpMetrics, StreamMetrics};
use crate::streams::{self, Hub};
use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::routing::{MethodFilter, on};
use edge::Measured;
use endpoint::EndpointWeight::{Fixed, Of};
use endpoint::{Endpoint, Security};
use error::ApiError;
use ipnet::IpNet;
use limits::RequestLimits;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Settings of the API.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub rate_limits: RateLimits,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// A log line for every request.
    pub access_log: bool,
    /// A client that reads nothing for this long is disconnected.
    pub write_timeout: Duration,
    /// Concurrent connections of one address that is not a trusted proxy.
    pub connections_per_address: u32,
}

/// Shared parts for every handler.
pub struct App {
    pub engine: Engine,
    /// No trading request waits for this pool.
    pub history: History,
    pub keys: Keys,
    pub limits: Arc<RequestLimits>,
    pub settings: HttpSettings,
    pub metrics: HttpMetrics,
    pub streams: Hub,
    pub files: StatementFiles,
    closed_listen_keys: listen_key::Closed,
    symbol_rules: general::SymbolRules,
}

impl App {
    pub fn new(
        engine: Engine,
        history: History,
        keys: Keys,
        settings: HttpSettings,
        metrics: HttpMetrics,
        stream_metrics: StreamMetrics,
        files: StatementFiles,
    ) -> Self {
        let limits = Arc::new(RequestLimits::new(settings.rate_limits));
        engine.committed().write().watch_first_fills(Arc::clone(&limits) as Arc<dyn FirstFills>);
        engine.share_weights(Arc::clone(&limits) as Arc<dyn weights::WeightTable>);
        metrics.start_at_zero(ENDPOINTS.iter().map(|endpoint| endpoint.group).chain([
            edge::UNKNOWN_GROUP,
            edge::TRANSPORT_GROUP,
            websocket::GROUP,
        ]));
        let streams = Hub::new(Arc::clone(engine.committed()), stream_metrics);
        Self {
            engine,
            history,
            keys,
            limits,
            settings,
            metrics,
            streams,
            files,
            closed_listen_keys: Default::default(),
            symbol_rules: Default::default(),
        }
    }
}

/// Rows of [`ENDPOINTS`]: method, path, summary; handler; metric group, weight, security; parameters.
macro_rules! endpoints {
    ($($method:ident $path:literal $summary:literal => $handler:path, $group:literal, $weight:expr, $security:ident, $names:expr;)*) => {
        /// Every endpoint. The reference document is generated from this table.
        pub static ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            method: Method::$method,
            path: $path,
            group: $group,
            weight: $weight,
            security: Security::$security,
            parameters: $names,
            summary: $summary,
            handle: |app, call| Box::pin($handler(app, call)),
        }),*];
    };
}

endpoints! {
    GET "/api/v3/ping" "Test connectivity"
        => general::ping, "general", Fixed(1), None, &[];
    GET "/api/v3/time" "Server time"
        => general::time, "general", Fixed(1), None, &[];
    GET "/api/v3/exchangeInfo" "Trading rules, symbols and rate limits"
        => general::exchange_info, "general", Fixed(20), None, &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"];
    GET "/api/v3/executionRules" "Rules that bound execution prices"
        => execution_rules::execution_rules, "general", Of(execution_rules::execution_rules_weight), None, execution_rules::RULES;
    GET "/api/v3/referencePrice" "Reference price of the PRICE_RANGE rule"
        => execution_rules::reference_price, "market_data", Fixed(2), None, &["symbol", "symbolStatus"];
    GET "/api/v3/depth" "Order book"
        => market_data::depth, "market_data", Of(market_data::depth_weight), None, &["symbol", "limit", "symbolStatus"];
    GET "/api/v3/trades" "Recent trades"
        => market_data::trades, "market_data", Fixed(25), None, &["symbol", "limit"];
    GET "/api/v3/historicalTrades" "Old trades by id"
        => market_data::historical_trades, "market_data", Fixed(25), None, &["symbol", "limit", "fromId"];
    GET "/api/v3/aggTrades" "Aggregate trades: trades of one taker order at one price"
        => market_data::aggregate_trades, "market_data", Fixed(4), None, &["symbol", "fromId", "startTime", "endTime", "limit"];
    GET "/api/v3/klines" "Candles"
        => market_data::klines, "market_data", Fixed(2), None, &["symbol", "interval", "startTime", "endTime", "timeZone", "limit"];
    GET "/api/v3/uiKlines" "Candles for charts: those of klines"
        => market_data::klines, "market_data", Fixed(2), None, &["symbol", "interval", "startTime", "endTime", "timeZone", "limit"];
    GET "/api/v3/avgPrice" "Current average price"
        => market_data::average_price, "market_data", Fixed(2), None, &["symbol"];
    GET "/api/v3/ticker/24hr" "Statistics of the last 24 hours"
        => market_data::day_tickers, "market_data", Of(market_data::day_tickers_weight), None, &["symbol", "symbols", "type", "symbolStatus"];
    GET "/api/v3/ticker" "Statistics of a window that ends now"
        => market_data::rolling, "market_data", Of(market_data::windows_weight), None, &["symbol", "symbols", "windowSize", "type", "symbolStatus"];
    GET "/api/v3/ticker/tradingDay" "Statistics of the current day"
        => market_data::trading_day, "market_data", Of(market_data::windows_weight), None, &["symbol", "symbols", "timeZone", "type", "symbolStatus"];
    GET "/api/v3/ticker/price" "Last price"
        => market_data::prices, "market_data", Of(market_data::prices_weight), None, &["symbol", "symbols", "symbolStatus"];
    GET "/api/v3/ticker/bookTicker" "Best prices of the order book"
        => market_data::book_tickers, "market_data", Of(market_data::prices_weight), None, &["symbol", "symbols", "symbolStatus"];
    POST "/api/v3/order" "New order"
        => orders::place, "trading", Fixed(1), Trade, new_order::NEW_ORDER;
    POST "/api/v3/order/test" "Test a new order without effect"
        => orders::test, "trading", Of(orders::test_weight), Trade, new_order::TEST_ORDER;
    GET "/api/v3/order" "One order, open or closed"
        => orders::query, "account", Fixed(4), UserData, orders::QUERY;
    DELETE "/api/v3/order" "Cancel an order"
        => orders::cancel, "trading", Fixed(1), Trade, orders::CANCEL;
    GET "/api/v3/openOrders" "Open orders"
        => orders::open, "account", Of(orders::open_weight), UserData, &["symbol"];
    DELETE "/api/v3/openOrders" "Cancel all open orders on a symbol"
        => orders::cancel_all, "trading", Fixed(1), Trade, &["symbol"];
    POST "/api/v3/order/cancelReplace" "Cancel an order and place another"
        => cancel_replace::cancel_replace, "trading", Fixed(1), Trade, new_order::REPLACING_ORDER;
    PUT "/api/v3/order/amend/keepPriority" "Reduce the quantity of an open order at its place in the queue"
        => amend::amend, "trading", Fixed(4), Trade, amend::AMEND;
    GET "/api/v3/order/amendments" "Amendments of an order"
        => amend::amendments, "account", Fixed(4), UserData, amend::AMENDMENTS;
    POST "/api/v3/orderList/oco" "New order list: one-cancels-the-other (OCO)"
        => order_lists::place_oco, "trading", Fixed(1), Trade, order_lists::OCO;
    POST "/api/v3/order/oco" "New OCO pair; deprecated: POST /api/v3/orderList/oco has every form"
        => legacy_oco::place, "trading", Fixed(1), Trade, legacy_oco::OCO;
    GET "/api/v3/orderList" "One order list"
        => order_lists::query, "account", Fixed(4), UserData, order_lists::QUERY;
    DELETE "/api/v3/orderList" "Cancel an order list"
        => order_lists::cancel, "trading", Fixed(1), Trade, order_lists::CANCEL;
    GET "/api/v3/openOrderList" "Open order lists"
        => order_lists::open, "account", Fixed(6), UserData, &[];
    GET "/api/v3/allOrders" "All orders on a symbol, open and closed"
        => history::orders, "account", Fixed(20), UserData, history::ORDERS;
    GET "/api/v3/myTrades" "Trades of the account on a symbol"
        => history::trades, "account", Of(history::trades_weight), UserData, history::TRADES;
    GET "/api/v3/myPreventedMatches" "Trades of the account with itself that were prevented"
        => prevented::prevented, "account", Of(prevented::prevented_weight), UserData, prevented::PREVENTED;
    GET "/api/v3/allOrderList" "All order lists, open and ended"
        => history::lists, "account", Fixed(20), UserData, history::LISTS;
    POST "/sapi/v1/account/statement" "Request an account statement of a period"
        => statements::request, "account", Fixed(50), UserData, statements::PERIOD;
    GET "/sapi/v1/account/statement" "Requested statements of the account, newest first"
        => statements::list, "account", Fixed(10), UserData, statements::LIST;
    GET "/sapi/v1/account/statement/link" "Link to download a statement"
        => statements::link, "account", Fixed(10), UserData, statements::LINK;
    GET "/api/v3/account" "Account information and balances"
        => account::account, "account", Fixed(20), UserData, account::ACCOUNT;
    GET "/api/v3/account/commission" "Commission rates of the account on a symbol"
        => account::commission, "account", Fixed(20), UserData, account::COMMISSION;
    GET "/api/v3/myFilters" "Filters that apply to the account on a symbol"
        => account::filters, "account", Fixed(40), UserData, account::FILTERS;
    GET "/api/v3/rateLimit/order" "Unfilled order count of the account"
        => account::order_count, "account", Fixed(40), UserData, &[];
    POST "/api/v3/userDataStream" "New listen key for the account's stream"
        => listen_key::create, "account", Fixed(2), UserStream, &[];
    PUT "/api/v3/userDataStream" "Confirm a listen key"
        => listen_key::extend, "account", Fixed(2), UserStream, listen_key::PARAMETERS;
    DELETE "/api/v3/userDataStream" "Close a listen key"
        => listen_key::close, "account", Fixed(2), UserStream, listen_key::PARAMETERS;
    GET "/sapi/v1/system/status" "System status"
        => wallet::system_status, "wallet", Fixed(1), None, &[];
    GET "/sapi/v1/capital/config/getall" "Every asset with the account's balance"
        => wallet::coins, "wallet", Fixed(10), UserData, &[];
    GET "/sapi/v1/capital/deposit/hisrec" "Deposits"
        => wallet::nothing, "wallet", Fixed(1), UserData, wallet::DEPOSITS;
    GET "/sapi/v1/capital/deposit/address" "Deposit address: deposits are disabled"
        => wallet::deposit_address, "wallet", Fixed(10), UserData, wallet::ADDRESS;
    POST "/sapi/v1/capital/withdraw/apply" "Withdraw: withdrawals are disabled"
        => wallet::withdraw, "wallet", Fixed(600), Withdraw, wallet::WITHDRAW;
    GET "/sapi/v1/capital/withdraw/history" "Withdrawals"
        => wallet::nothing, "wallet", Fixed(1), UserData, wallet::WITHDRAWALS;
    GET "/sapi/v1/asset/tradeFee" "Commission rates of the account"
        => wallet::trade_fee, "wallet", Fixed(1), UserData, wallet::SYMBOL;
    GET "/sapi/v1/margin/allPairs" "Margin pairs: none"
        => wallet::nothing, "wallet", Fixed(1), None, wallet::SYMBOL;
    GET "/sapi/v1/margin/isolated/allPairs" "Isolated margin pairs: none"
        => wallet::nothing, "wallet", Fixed(1), None, wallet::SYMBOL;
    GET "/fapi/v1/exchangeInfo" "Futures: none"
        => wallet::no_symbols, "wallet", Fixed(1), None, &[];
    GET "/dapi/v1/exchangeInfo" "Futures: none"
        => wallet::no_symbols, "wallet", Fixed(1), None, &[];
}

/// Endpoints of Binance that this exchange does not support: -1020.
pub const UNSUPPORTED: &[(Method, &str)] = &[
    (Method::POST, "/api/v3/orderList/oto"),
    (Method::POST, "/api/v3/orderList/otoco"),
    (Method::POST, "/api/v3/orderList/opo"),
    (Method::POST, "/api/v3/orderList/opoco"),
    (Method::POST, "/api/v3/sor/order"),
    (Method::POST, "/api/v3/sor/order/test"),
    (Method::GET, "/api/v3/myAllocations"),
    (Method::GET, "/api/v3/referencePrice/calculation"),
    (Method::GET, "/api/v3/historicalBlockTrades"),
];

/// The whole API as a service.
fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for endpoint in ENDPOINTS {
        let app = Arc::clone(app);
        let measured = Measured::new(&app.metrics, endpoint.group);
        let answer = move |request: Request| edge::answer(Arc::clone(&app), endpoint, measured.clone(), request);
        router = router.route(endpoint.path, on(filter(&endpoint.method), answer));
    }
    for (method, path) in UNSUPPORTED {
        router = router.route(path, on(filter(method), refusing(app, || ApiError::UNSUPPORTED)));
    }
    router
        .merge(pages::router(app))
        .merge(websocket::router(app))
        .fallback(refusing(app, || ApiError::NOT_FOUND))
        .method_not_allowed_fallback(refusing(app, || ApiError::METHOD_NOT_ALLOWED))
}

/// Serves the API on `listener` until `closing` ends it.
///
/// # Errors
///
/// Returns none at present: a failed accept is logged and retried.
pub async fn serve(listener: TcpListener, app: App, closing: Closing) -> std::io::Result<()> {
    let app = Arc::new(app);
    let publishing = tokio::spawn(streams::publish_streams(app.streams.clone()));
    let bounds = listener::ListenerBounds {
        write_timeout: app.settings.write_timeout,
        per_address: app.settings.connections_per_address,
        exempt: app.settings.trusted_proxies.clone(),
        over: app.metrics.rate_limited.with_label_values(&["connections"]),
    };
    let (connections, router) = (app.metrics.connections.clone(), router(&app));
    let measured = Measured::new(&app.metrics, edge::TRANSPORT_GROUP);
    let refuse: listener::Refuse =
        Arc::new(move |request, error| Box::pin(edge::refuse(Arc::clone(&app), measured.clone(), error, request)));
    let served = listener::serve_connections(listener, listener::Serving { router, refuse, bounds, connections }, closing).await;
    // Connections receive events until their close frame.
    publishing.abort();
    served
}

fn refusing(
    app: &Arc<App>,
    error: fn() -> ApiError,
) -> impl Fn(Request) -> std::pin::Pin<Box<dyn Future<Output = axum::response::Response> + Send>> + Clone + Send + Sync + 'static
{
    let (app, measured) = (Arc::clone(app), Measured::new(&app.metrics, edge::UNKNOWN_GROUP));
    move |request| Box::pin(edge::refuse(Arc::clone(&app), measured.clone(), error(), request))
}

/// The table contains only these methods.
fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}
