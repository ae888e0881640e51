//! This module selects the markets of a public request: `symbol`, `symbols`, `symbolStatus`. It must not produce the answer.

use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use axum::http::StatusCode;
use exchange_core::State;
use exchange_core::market::MarketStatus;
use exchange_core::order::MarketId;

pub const BAD_COMBINATION: ApiError = ApiError::bad(-1128, "Combination of optional parameters invalid.");
const STATUS: ApiError = ApiError::bad(-1122, "Invalid symbolStatus.");
const STATUS_MISMATCH: ApiError =
    ApiError::new(StatusCode::BAD_REQUEST, -1220, "The symbol's status does not match the requested symbolStatus.");
const DUPLICATE: ApiError = ApiError::bad(-1151, "Symbol is present multiple times in the list.");

/// One market is answered as an object, several as an array.
#[derive(Debug, PartialEq, Eq)]
pub enum SymbolSelection {
    One(MarketId),
    Many(Vec<MarketId>),
}

/// The market named by `symbol`.
///
/// # Errors
///
/// Returns -1102, -1100 or -1121; -1220 if the market does not have the sent `symbolStatus`.
pub fn one(state: &State, parameters: &Parameters<'_>) -> Result<MarketId, ApiError> {
    named(state, parameters.symbol()?, status(parameters)?)
}

/// The markets of `symbol`, of `symbols`, or all. Of several markets, those without the sent status are omitted.
///
/// # Errors
///
/// Returns -1128 if both are sent, -1105 for an empty list, -1151 for a repeated symbol, -1121 or -1122; -1220 as [`one`].
pub fn asked(state: &State, parameters: &Parameters<'_>) -> Result<SymbolSelection, ApiError> {
    let wanted = status(parameters)?;
    let matches = |status: MarketStatus| wanted.is_none_or(|wanted| wanted == status);
    match (parameters.symbol_if_sent()?, parameters.symbols()?) {
        (Some(_), Some(_)) => Err(BAD_COMBINATION),
        (Some(symbol), None) => named(state, symbol, wanted).map(SymbolSelection::One),
        (None, Some(symbols)) => {
            if symbols.is_empty() {
                return Err(ApiError::empty("symbols"));
            }
            let mut markets = Vec::with_capacity(symbols.len());
            let mut seen = std::collections::HashSet::with_capacity(symbols.len());
            for symbol in symbols {
                let market = state.market_by_symbol(symbol).ok_or(ApiError::SYMBOL)?;
                if !seen.insert(market.id) {
                    return Err(DUPLICATE);
                }
                markets.extend(matches(market.status).then_some(market.id));
            }
            Ok(SymbolSelection::Many(markets))
        }
        (None, None) => {
            Ok(SymbolSelection::Many(state.markets().filter(|market| matches(market.status)).map(|market| market.id).collect()))
        }
    }
}

/// Weight of a request with one symbol, a list of symbols (by its length), or none.
pub fn symbols_weight(parameters: &Parameters<'_>, one: u32, many: fn(usize) -> u32, all: u32) -> u32 {
    match parameters.symbols() {
        Ok(Some(symbols)) => many(symbols.len()),
        _ if parameters.has("symbol") => one,
        _ => all,
    }
}

fn status(parameters: &Parameters<'_>) -> Result<Option<MarketStatus>, ApiError> {
    parameters.choice("symbolStatus", MarketStatus::from_text, STATUS)
}

fn named(state: &State, symbol: &str, wanted: Option<MarketStatus>) -> Result<MarketId, ApiError> {
    let market = state.market_by_symbol(symbol).ok_or(ApiError::SYMBOL)?;
    if wanted.is_some_and(|wanted| wanted != market.status) { Err(STATUS_MISMATCH) } else { Ok(market.id) }
}
