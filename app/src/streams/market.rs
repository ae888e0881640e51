//! This module writes the events of market streams as web-socket-streams.md documents them. It must not compute a statistic.

use exchange_core::{
    market_data::{AggregateTrade, Candle, PublicTrade, Statistics, ZonedInterval},
    money::{Amount, Price, Time},
};

use crate::json::{Json, TimeUnit};

/// A price and the quantity there.
pub type PriceLevel = (Price, Amount);

pub fn trade(json: &mut Json, unit: TimeUnit, now: Time, symbol: &str, trade: &PublicTrade) {
    json.object(|json| {
        head(json, unit, "trade", now, symbol);
        json.key("t").integer(trade.trade);
        json.key("p").decimal(trade.price);
        json.key("q").decimal(trade.quantity);
        json.key("T").integer(unit.show(trade.time));
        json.key("m").boolean(trade.buyer_is_maker);
        json.key("M").boolean(true);
    });
}

pub fn aggregate_trade(json: &mut Json, unit: TimeUnit, now: Time, symbol: &str, aggregate: &AggregateTrade) {
    json.object(|json| {
        head(json, unit, "aggTrade", now, symbol);
        aggregate_fields(json, unit, aggregate);
    });
}

/// The fields that the stream's event and `GET /api/v3/aggTrades` share.
pub fn aggregate_fields(json: &mut Json, unit: TimeUnit, aggregate: &AggregateTrade) {
    json.key("a").integer(aggregate.aggregate);
    json.key("p").decimal(aggregate.price);
    json.key("q").decimal(aggregate.quantity);
    json.key("f").integer(aggregate.first_trade);
    json.key("l").integer(aggregate.last_trade);
    json.key("T").integer(unit.show(aggregate.time));
    json.key("m").boolean(aggregate.buyer_is_maker);
    json.key("M").boolean(true);
}

pub fn book_ticker(json: &mut Json, symbol: &str, sequence: u64, bid: PriceLevel, ask: PriceLevel) {
    json.object(|json| {
        json.key("u").integer(sequence);
        json.key("s").text(symbol);
        best(json, bid, ask);
    });
}

/// Changed levels of a book. `first` is the sequence after the previous event's `last`.
pub struct DepthUpdate<'a> {
    pub symbol: &'a str,
    pub now: Time,
    pub first: u64,
    pub last: u64,
    pub bids: &'a [PriceLevel],
    pub asks: &'a [PriceLevel],
}

pub fn depth_update(json: &mut Json, unit: TimeUnit, update: &DepthUpdate<'_>) {
    json.object(|json| {
        head(json, unit, "depthUpdate", update.now, update.symbol);
        json.key("U").integer(update.first);
        json.key("u").integer(update.last);
        levels(json.key("b"), update.bids);
        levels(json.key("a"), update.asks);
    });
}

pub fn partial_depth(json: &mut Json, sequence: u64, bids: &[PriceLevel], asks: &[PriceLevel]) {
    json.object(|json| {
        json.key("lastUpdateId").integer(sequence);
        levels(json.key("bids"), bids);
        levels(json.key("asks"), asks);
    });
}

pub fn candle(json: &mut Json, unit: TimeUnit, now: Time, symbol: &str, interval: ZonedInterval, candle: &Candle, closed: bool) {
    // -1: no trade in it.
    let id = |id: u64| if candle.trades == 0 { -1 } else { i128::from(id) };
    json.object(|json| {
        head(json, unit, "kline", now, symbol);
        json.key("k").object(|json| {
            json.key("t").integer(unit.show(candle.open_time));
            json.key("T").integer(unit.show(interval.close(candle.open_time)));
            json.key("s").text(symbol);
            json.key("i").text(interval.interval().text());
            json.key("f").integer(id(candle.first_trade));
            json.key("L").integer(id(candle.last_trade));
            json.key("o").decimal(candle.open);
            json.key("c").decimal(candle.close);
            json.key("h").decimal(candle.high);
            json.key("l").decimal(candle.low);
            json.key("v").decimal(candle.volume);
            json.key("n").integer(candle.trades);
            json.key("x").boolean(closed);
            json.key("q").decimal(candle.quote_volume);
            json.key("V").decimal(candle.taker_volume);
            json.key("Q").decimal(candle.taker_quote_volume);
            json.key("B").text("0");
        });
    });
}

pub fn mini_ticker(json: &mut Json, unit: TimeUnit, now: Time, symbol: &str, statistics: &Statistics) {
    json.object(|json| {
        head(json, unit, "24hrMiniTicker", now, symbol);
        json.key("c").decimal(statistics.last);
        json.key("o").decimal(statistics.open);
        json.key("h").decimal(statistics.high);
        json.key("l").decimal(statistics.low);
        json.key("v").decimal(statistics.volume);
        json.key("q").decimal(statistics.quote_volume);
    });
}

pub fn ticker(
    json: &mut Json,
    unit: TimeUnit,
    now: Time,
    symbol: &str,
    statistics: &Statistics,
    bid: PriceLevel,
    ask: PriceLevel,
) {
    json.object(|json| {
        head(json, unit, "24hrTicker", now, symbol);
        json.key("p").decimal(statistics.change());
        json.key("P").text(&thousandths(statistics.change_thousandths_of_percent()));
        json.key("w").decimal(statistics.weighted_average());
        json.key("x").decimal(statistics.previous_close);
        json.key("c").decimal(statistics.last);
        json.key("Q").decimal(statistics.last_quantity);
        best(json, bid, ask);
        json.key("o").decimal(statistics.open);
        json.key("h").decimal(statistics.high);
        json.key("l").decimal(statistics.low);
        json.key("v").decimal(statistics.volume);
        json.key("q").decimal(statistics.quote_volume);
        json.key("O").integer(unit.show(statistics.open_time));
        json.key("C").integer(unit.show(statistics.close_time));
        // -1: no trade in the window.
        let id = |id: Option<u64>| id.map_or(-1, i128::from);
        json.key("F").integer(id(statistics.trade_ids.map(|ids| ids.0)));
        json.key("L").integer(id(statistics.trade_ids.map(|ids| ids.1)));
        json.key("n").integer(statistics.trades);
    });
}

pub fn average_price(json: &mut Json, unit: TimeUnit, now: Time, symbol: &str, minutes: u32, price: Price, last_trade: Time) {
    json.object(|json| {
        head(json, unit, "avgPrice", now, symbol);
        json.key("i").text(&format!("{minutes}m"));
        json.key("w").decimal(price);
        json.key("T").integer(unit.show(last_trade));
    });
}

/// Sent before the server closes its connections.
pub fn server_shutdown(json: &mut Json, unit: TimeUnit, now: Time) {
    json.object(|json| {
        json.key("e").text("serverShutdown");
        json.key("E").integer(unit.show(now));
    });
}

/// `-95960` thousandths of a percent are `-95.960`.
pub fn thousandths(value: Amount) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    format!("{sign}{}.{:03}", value / 1000, value % 1000)
}

fn head(json: &mut Json, unit: TimeUnit, event: &str, now: Time, symbol: &str) {
    json.key("e").text(event);
    json.key("E").integer(unit.show(now));
    json.key("s").text(symbol);
}

fn best(json: &mut Json, bid: PriceLevel, ask: PriceLevel) {
    json.key("b").decimal(bid.0);
    json.key("B").decimal(bid.1);
    json.key("a").decimal(ask.0);
    json.key("A").decimal(ask.1);
}

fn levels(json: &mut Json, levels: &[PriceLevel]) {
    json.array(levels, |json, (price, quantity)| json.array([Amount::from(*price), *quantity], Json::decimal));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_has_three_places() {
        for (value, text) in [(-95_960, "-95.960"), (0, "0.000"), (7, "0.007"), (-7, "-0.007"), (1_000, "1.000")] {
            assert_eq!(thousandths(value), text);
        }
    }

    #[test]
    fn a_depth_update_has_the_documented_members() {
        let update = DepthUpdate {
            symbol: "BTCUSDT",
            now: 1_700_000_000_123_456,
            first: 157,
            last: 160,
            bids: &[(240_000, 1_000_000_000)],
            asks: &[(260_000, 0)],
        };
        let mut json = Json::with_capacity(256);
        depth_update(&mut json, TimeUnit::Millisecond, &update);
        let text = String::from_utf8(json.into_bytes()).unwrap();
        let expected = concat!(
            r#"{"e":"depthUpdate","E":1700000000123,"s":"BTCUSDT","U":157,"u":160,"#,
            r#""b":[["0.00240000","10.00000000"]],"a":[["0.00260000","0.00000000"]]}"#
        );
        assert_eq!(text, expected);
        let mut json = Json::with_capacity(256);
        depth_update(&mut json, TimeUnit::Microsecond, &update);
        assert!(String::from_utf8(json.into_bytes()).unwrap().contains(r#""E":1700000000123456,"#));
    }
}
