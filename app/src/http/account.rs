//! The account: balances, commissions, unfilled order count. Never: how a balance changes.

use super::App;
use super::endpoint::{Answer, Call, Reply};

/// `GET /api/v3/rateLimit/order`
pub async fn order_count(app: &App, call: &Call<'_>) -> Answer {
    let count = app.limits.orders(call.account()?, call.received);
    let limits = app.limits.settings();
    let rows = [("SECOND", 10, limits.orders_10s, count.ten_seconds), ("DAY", 1, limits.orders_1d, count.one_day)];
    Ok(Reply::written(256, |json| {
        json.array(rows, |json, (interval, number, limit, count)| {
            json.object(|json| {
                json.key("rateLimitType").text("ORDERS");
                json.key("interval").text(interval);
                json.key("intervalNum").integer(number);
                json.key("limit").integer(limit);
                json.key("count").integer(count);
            });
        });
    }))
}
