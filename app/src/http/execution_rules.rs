//! This module serves the rules that bound execution prices, and the reference price that they multiply. It must not decide
//! whether an order may be placed.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::json::Json;
use super::market_data::symbols::{self, SymbolSelection};
use super::parameters::Parameters;
use exchange_core::market::Market;

/// Parameters of `GET /api/v3/executionRules`.
pub const RULES: &[&str] = &["symbol", "symbols", "symbolStatus"];

/// Weights of one symbol and of the maximum number of symbols.
const WEIGHT: u32 = 2;
const WEIGHT_MAX: u32 = 40;

const NO_REFERENCE_PRICE: ApiError = ApiError::bad(-2043, "This symbol doesn't have a reference price.");

/// Weight of `GET /api/v3/executionRules`.
pub fn execution_rules_weight(parameters: &Parameters<'_>) -> u32 {
    let many = |symbols: usize| u32::try_from(symbols).unwrap_or(WEIGHT_MAX).saturating_mul(WEIGHT).clamp(WEIGHT, WEIGHT_MAX);
    symbols::symbols_weight(parameters, WEIGHT, many, WEIGHT_MAX)
}

/// `GET /api/v3/executionRules`
pub async fn execution_rules(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    if ["symbol", "symbols", "symbolStatus"].iter().filter(|name| parameters.has(name)).count() > 1 {
        return Err(symbols::BAD_COMBINATION);
    }
    let committed = app.engine.committed().read();
    let state = &committed.state;
    let markets = match symbols::asked(state, parameters)? {
        SymbolSelection::One(market) => vec![market],
        SymbolSelection::Many(markets) => markets,
    };
    Ok(Reply::written(32 + 192 * markets.len(), |json| {
        json.object(|json| {
            let known = markets.iter().filter_map(|market| state.market(*market));
            json.key("symbolRules").array(known, rules_of);
        });
    }))
}

fn rules_of(json: &mut Json, market: &Market) {
    json.object(|json| {
        json.key("symbol").text(&market.symbol);
        json.key("rules").array(market.protection.price_range, |json, rule| {
            json.object(|json| {
                json.key("ruleType").text("PRICE_RANGE");
                for (name, rate) in [
                    ("bidLimitMultUp", rule.bid_up),
                    ("bidLimitMultDown", rule.bid_down),
                    ("askLimitMultUp", rule.ask_up),
                    ("askLimitMultDown", rule.ask_down),
                ] {
                    // Omit a multiplier that is not set.
                    if rate != 0 {
                        json.key(name).decimal(rate);
                    }
                }
            });
        });
    });
}

/// `GET /api/v3/referencePrice`
pub async fn reference_price(app: &App, call: &Call<'_>) -> EndpointResult {
    let (symbol, price, time) = {
        let committed = app.engine.committed().read();
        let state = &committed.state;
        let market = symbols::one(state, &call.parameters)?;
        let symbol = state.market(market).map(|market| market.symbol.clone()).unwrap_or_default();
        (symbol, state.reference_price(market, state.now()), state.now())
    };
    let price = price.ok_or(NO_REFERENCE_PRICE)?;
    Ok(Reply::written(96, |json| {
        json.object(|json| {
            json.key("symbol").text(&symbol);
            json.key("referencePrice").decimal(price);
            json.key("timestamp").integer(call.time_unit.show(time));
        });
    }))
}
