//! This module writes the JSON of commission rates. This exchange has one kind of commission; the additional kinds of Binance are
//! zero.

use super::json::Json;
use exchange_core::market::Commission;
use exchange_core::money::Rate;

/// The asset in which Binance grants a discount; this exchange grants none.
const DISCOUNT_ASSET: &str = "BNB";

/// Rates of an account on a market.
pub fn account_commission(json: &mut Json, symbol: &str, commission: &Commission) {
    let rates = |json: &mut Json, maker: Rate, taker: Rate| {
        json.object(|json| {
            for (name, rate) in [("maker", maker), ("taker", taker), ("buyer", 0), ("seller", 0)] {
                json.key(name).decimal(rate);
            }
        });
    };
    json.object(|json| {
        json.key("symbol").text(symbol);
        rates(json.key("standardCommission"), commission.maker, commission.taker);
        rates(json.key("specialCommission"), 0, 0);
        rates(json.key("taxCommission"), 0, 0);
        discount(json);
    });
}

/// Rates of a test order.
pub fn order_commission(json: &mut Json, commission: &Commission) {
    let rates = |json: &mut Json, maker: Rate, taker: Rate| {
        json.object(|json| {
            json.key("maker").decimal(maker);
            json.key("taker").decimal(taker);
        });
    };
    json.object(|json| {
        rates(json.key("standardCommissionForOrder"), commission.maker, commission.taker);
        rates(json.key("specialCommissionForOrder"), 0, 0);
        rates(json.key("taxCommissionForOrder"), 0, 0);
        discount(json);
    });
}

fn discount(json: &mut Json) {
    json.key("discount").object(|json| {
        json.key("enabledForAccount").boolean(false);
        json.key("enabledForSymbol").boolean(false);
        json.key("discountAsset").text(DISCOUNT_ASSET);
        json.key("discount").decimal(0);
    });
}
