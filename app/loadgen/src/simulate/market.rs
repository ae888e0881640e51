//! This module has a market's rules from exchangeInfo, and prices and quantities that satisfy them. It must not send an order.

use anyhow::{Context, Result};
use exchange_core::money::{Decimal, Price, Quantity, SCALE, floor_to, parse};
use serde_json::Value;

/// Start prices of well-known assets for a market without trades, in quote units.
const OPENING: [(&str, i64); 5] = [("BTC", 60_000), ("ETH", 3_000), ("BNB", 600), ("SOL", 150), ("XRP", 1)];
const OPENING_OF_OTHERS: i64 = 100;

#[derive(Debug, Clone)]
pub(super) struct MarketView {
    pub symbol: String,
    pub tick: Price,
    pub step: Quantity,
    pub min_quantity: Quantity,
    /// Smallest value of an order, in quote units of 10⁻⁸.
    pub min_notional: i64,
    /// Start of the fair price.
    pub opening: Price,
}

impl MarketView {
    /// Parses one entry of exchangeInfo's `symbols`; uses the last price if there is one.
    pub fn read(symbol: &str, rules: &Value, last: Option<&str>) -> Result<Self> {
        let filter = |kind: &str, field: &str| -> Result<i64> {
            let filters = rules["filters"].as_array().map_or(&[][..], Vec::as_slice);
            let filter = filters.iter().find(|filter| filter["filterType"] == kind);
            let text = filter.and_then(|filter| filter[field].as_str());
            let text = text.with_context(|| format!("{symbol} has no {kind} filter with {field}"))?;
            parse(text).ok().with_context(|| format!("{symbol}: {kind}.{field} is {text:?}"))
        };
        let base = rules["baseAsset"].as_str().unwrap_or_default();
        let known = OPENING.iter().find(|(asset, _)| *asset == base).map_or(OPENING_OF_OTHERS, |(_, price)| *price);
        let last = last.and_then(|text| parse(text).ok()).filter(|price| *price > 0);
        Ok(Self {
            symbol: symbol.to_owned(),
            tick: filter("PRICE_FILTER", "tickSize")?.max(1),
            step: filter("LOT_SIZE", "stepSize")?.max(1),
            min_quantity: filter("LOT_SIZE", "minQty")?,
            min_notional: filter("NOTIONAL", "minNotional")?,
            opening: last.unwrap_or(known * SCALE),
        })
    }

    /// The tick below `price`.
    pub fn price(&self, price: f64) -> Price {
        floor_to(price as Price, self.tick).max(self.tick)
    }

    /// Whole lots worth about `value` quote units at `price`, at least the market's minimum.
    pub fn quantity(&self, value: f64, price: Price) -> Quantity {
        // A fifth above the smallest value, because the average price that applies to a MARKET order may be lower.
        let least = self.min_notional as f64 * 1.2;
        let units = (value * SCALE as f64).max(least) / price as f64 * SCALE as f64;
        (floor_to(units as Quantity, self.step) + self.step).max(self.min_quantity)
    }
}

/// In the API's number format.
pub(super) fn text(value: i64) -> String {
    Decimal::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_obey_the_filters() {
        let rules = serde_json::json!({"baseAsset": "BTC", "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"}]});
        let market = MarketView::read("BTCUSDT", &rules, None).unwrap();
        assert_eq!(market.opening, 60_000 * SCALE);
        let price = market.price(60_000.017 * SCALE as f64);
        assert_eq!(text(price), "60000.01000000");
        for value in [0.0, 5.0, 123.4] {
            let quantity = market.quantity(value, price);
            assert_eq!(quantity % market.step, 0);
            assert!(exchange_core::money::notional(price, quantity) >= i128::from(market.min_notional), "{value}");
        }
        assert_eq!(MarketView::read("BTCUSDT", &rules, Some("61000.5")).unwrap().opening, 6_100_050_000_000);
    }
}
