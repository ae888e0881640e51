//! This module is the table of the WebSocket API's methods. A method is another name of a REST endpoint, or acts on the session.

use crate::http::ENDPOINTS;
use crate::http::endpoint::Endpoint;
use axum::http::Method as HttpMethod;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// What a method does.
#[derive(Clone, Copy)]
pub enum MethodAction {
    /// Of the REST API, by its row in [`ENDPOINTS`].
    Endpoint {
        endpoint: &'static Endpoint,
        counts_orders: bool,
    },
    Logon,
    Status,
    Logout,
    Subscriptions,
    Subscribe,
    SubscribeSignature,
    Unsubscribe,
    /// Binance's method for an endpoint that this release does not have.
    Unsupported,
}

/// A method, its endpoint, and whether its reply shows the unfilled order count.
type MethodRow = (&'static str, HttpMethod, &'static str, bool);

const GET: HttpMethod = HttpMethod::GET;
const POST: HttpMethod = HttpMethod::POST;
const PUT: HttpMethod = HttpMethod::PUT;
const DELETE: HttpMethod = HttpMethod::DELETE;

/// Methods that are endpoints of the REST API.
pub const METHODS: &[MethodRow] = &[
    ("ping", GET, "/api/v3/ping", false),
    ("time", GET, "/api/v3/time", false),
    ("exchangeInfo", GET, "/api/v3/exchangeInfo", false),
    ("executionRules", GET, "/api/v3/executionRules", false),
    ("referencePrice", GET, "/api/v3/referencePrice", false),
    ("depth", GET, "/api/v3/depth", false),
    ("trades.recent", GET, "/api/v3/trades", false),
    ("trades.historical", GET, "/api/v3/historicalTrades", false),
    ("trades.aggregate", GET, "/api/v3/aggTrades", false),
    ("klines", GET, "/api/v3/klines", false),
    ("uiKlines", GET, "/api/v3/uiKlines", false),
    ("avgPrice", GET, "/api/v3/avgPrice", false),
    ("ticker", GET, "/api/v3/ticker", false),
    ("ticker.24hr", GET, "/api/v3/ticker/24hr", false),
    ("ticker.tradingDay", GET, "/api/v3/ticker/tradingDay", false),
    ("ticker.price", GET, "/api/v3/ticker/price", false),
    ("ticker.book", GET, "/api/v3/ticker/bookTicker", false),
    ("order.place", POST, "/api/v3/order", true),
    ("order.test", POST, "/api/v3/order/test", false),
    ("order.status", GET, "/api/v3/order", false),
    ("order.cancel", DELETE, "/api/v3/order", false),
    ("order.cancelReplace", POST, "/api/v3/order/cancelReplace", true),
    ("order.amend.keepPriority", PUT, "/api/v3/order/amend/keepPriority", false),
    ("order.amendments", GET, "/api/v3/order/amendments", false),
    ("openOrders.status", GET, "/api/v3/openOrders", false),
    ("openOrders.cancelAll", DELETE, "/api/v3/openOrders", false),
    ("orderList.place", POST, "/api/v3/order/oco", true),
    ("orderList.place.oco", POST, "/api/v3/orderList/oco", true),
    ("orderList.place.oto", POST, "/api/v3/orderList/oto", true),
    ("orderList.place.otoco", POST, "/api/v3/orderList/otoco", true),
    ("orderList.place.opo", POST, "/api/v3/orderList/opo", true),
    ("orderList.place.opoco", POST, "/api/v3/orderList/opoco", true),
    ("orderList.status", GET, "/api/v3/orderList", false),
    ("orderList.cancel", DELETE, "/api/v3/orderList", false),
    ("openOrderLists.status", GET, "/api/v3/openOrderList", false),
    ("allOrders", GET, "/api/v3/allOrders", false),
    ("allOrderLists", GET, "/api/v3/allOrderList", false),
    ("myTrades", GET, "/api/v3/myTrades", false),
    ("myPreventedMatches", GET, "/api/v3/myPreventedMatches", false),
    ("myAllocations", GET, "/api/v3/myAllocations", false),
    ("myFilters", GET, "/api/v3/myFilters", false),
    ("account.status", GET, "/api/v3/account", false),
    ("account.rateLimits.orders", GET, "/api/v3/rateLimit/order", false),
    ("account.commission", GET, "/api/v3/account/commission", false),
    ("sor.order.place", POST, "/api/v3/sor/order", true),
    ("sor.order.test", POST, "/api/v3/sor/order/test", false),
];

/// Methods that act on the connection itself.
pub const SESSION_METHODS: &[(&str, MethodAction)] = &[
    ("session.logon", MethodAction::Logon),
    ("session.status", MethodAction::Status),
    ("session.logout", MethodAction::Logout),
    ("session.subscriptions", MethodAction::Subscriptions),
    ("userDataStream.subscribe", MethodAction::Subscribe),
    ("userDataStream.subscribe.signature", MethodAction::SubscribeSignature),
    ("userDataStream.unsubscribe", MethodAction::Unsubscribe),
];

static TABLE: LazyLock<FxHashMap<&'static str, (&'static str, MethodAction)>> = LazyLock::new(|| {
    let endpoints = METHODS.iter().map(|(name, method, path, counts_orders)| {
        let found = ENDPOINTS.iter().find(|endpoint| endpoint.method == *method && endpoint.path == *path);
        let action = found
            .map_or(MethodAction::Unsupported, |endpoint| MethodAction::Endpoint { endpoint, counts_orders: *counts_orders });
        (*name, (*name, action))
    });
    endpoints.chain(SESSION_METHODS.iter().map(|(name, action)| (*name, (*name, *action)))).collect()
});

/// The method with this name, which may be prefixed with `v3/`; with the name as a label.
pub fn find_method(name: &str) -> Option<(&'static str, MethodAction)> {
    TABLE.get(name.strip_prefix("v3/").unwrap_or(name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_with_and_without_a_version() {
        for name in ["order.place", "v3/order.place"] {
            let Some(("order.place", MethodAction::Endpoint { endpoint, counts_orders: true })) = find_method(name) else {
                panic!("{name}")
            };
            assert_eq!((endpoint.method.as_str(), endpoint.path), ("POST", "/api/v3/order"));
        }
        assert!(matches!(find_method("session.logon"), Some((_, MethodAction::Logon))));
        assert!(matches!(find_method("sor.order.place"), Some((_, MethodAction::Unsupported))));
        for name in ["", "v3/", "order", "v2/order.place", "Order.place"] {
            assert!(find_method(name).is_none(), "{name}");
        }
    }
}
