//! This module serves connectivity, server time and trading rules: the first requests of a client. It must not serve prices.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use super::json::Json;
use super::market_data::symbols::{self, SymbolSelection};
use super::parameters::Parameters;
use axum::body::Bytes;
use exchange_core::State;
use exchange_core::event::{AMENDMENT_LEVEL, DECREMENT_LEVEL, ICEBERG_LEVEL, OTO_LEVEL, TRAILING_LEVEL};
use exchange_core::limits::ExchangeLimits;
use exchange_core::market::Market;
use exchange_core::money::{Amount, DECIMALS, Decimal};
use exchange_core::order::StpMode;
use exchange_core::refusal::Filter;
use parking_lot::Mutex;

/// Permissions that a client may send (enums.md); every market of this exchange has `SPOT`.
const PERMISSION: &str = "SPOT";
const OTHER_PERMISSIONS: [&str; 2] = ["MARGIN", "LEVERAGED"];
const TRADE_GROUP: &str = "TRD_GRP_";

/// `GET /api/v3/ping`
pub async fn ping(_app: &App, _call: &Call<'_>) -> EndpointResult {
    Ok(Reply::bytes(Bytes::from_static(b"{}")))
}

/// `GET /api/v3/time`
pub async fn time(_app: &App, call: &Call<'_>) -> EndpointResult {
    Ok(Reply::written(48, |json| {
        json.object(|json| json.key("serverTime").integer(call.time_unit.show(call.received)));
    }))
}

/// `GET /api/v3/exchangeInfo`
pub async fn exchange_info(app: &App, call: &Call<'_>) -> EndpointResult {
    let parameters = &call.parameters;
    let show_sets = parameters.boolean("showPermissionSets")?.unwrap_or(true);
    let permitted = permitted(parameters)?;
    let named = parameters.has("symbol") || parameters.has("symbols");
    if named && (permitted.is_some() || parameters.has("symbolStatus")) {
        return Err(symbols::BAD_COMBINATION);
    }
    let (rules, limits_of_all): (Vec<Bytes>, ExchangeLimits) = {
        let committed = app.engine.committed().read();
        let markets = match symbols::asked(&committed.state, parameters)? {
            SymbolSelection::One(market) => vec![market],
            SymbolSelection::Many(markets) => markets,
        };
        let markets = if permitted == Some(false) { Vec::new() } else { markets };
        (app.symbol_rules.of(&committed.state, &markets, show_sets), committed.state.limits())
    };
    let limits = app.limits.settings();
    Ok(Reply::written(512 + rules.iter().map(Bytes::len).sum::<usize>(), |json| {
        json.object(|json| {
            json.key("timezone").text("UTC");
            json.key("serverTime").integer(call.time_unit.show(call.received));
            let rows = [
                ("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_1m),
                ("ORDERS", "SECOND", 10, limits.orders_10s),
                ("ORDERS", "DAY", 1, limits.orders_1d),
            ];
            json.key("rateLimits").array(rows, |json, (kind, interval, number, limit)| {
                json.object(|json| {
                    json.key("rateLimitType").text(kind);
                    json.key("interval").text(interval);
                    json.key("intervalNum").integer(number);
                    json.key("limit").integer(limit);
                });
            });
            write_exchange_filters(json.key("exchangeFilters"), limits_of_all);
            json.key("symbols").array(&rules, |json, rules| json.raw(rules));
        });
    }))
}

/// `permissions=SPOT` or `permissions=["MARGIN","LEVERAGED"]`: whether it selects this exchange's markets; `None` if not sent.
fn permitted(parameters: &Parameters<'_>) -> Result<Option<bool>, ApiError> {
    let Some(text) = parameters.text("permissions")? else { return Ok(None) };
    let known = |name: &str| name == PERMISSION || OTHER_PERMISSIONS.contains(&name) || name.starts_with(TRADE_GROUP);
    let names: Option<Vec<&str>> = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(list) => list.split(',').map(|item| item.trim().strip_prefix('"')?.strip_suffix('"')).collect(),
        None => Some(vec![text]),
    };
    match names {
        Some(names) if names.iter().all(|name| known(name)) => Ok(Some(names.contains(&PERMISSION))),
        _ => Err(ApiError::invalid("permissions")),
    }
}

/// The rules of each market as JSON, rewritten only after the market or the feature level changed.
#[derive(Default)]
pub struct SymbolRules {
    written: Mutex<WrittenRules>,
}

#[derive(Default)]
struct WrittenRules {
    feature_level: u32,
    /// By market; each for both values of `showPermissionSets`.
    rules: Vec<(Market, [Bytes; 2])>,
}

impl SymbolRules {
    fn of(&self, state: &State, markets: &[exchange_core::order::MarketId], show_sets: bool) -> Vec<Bytes> {
        let mut written = self.written.lock();
        if written.feature_level != state.feature_level() {
            *written = WrittenRules { feature_level: state.feature_level(), rules: Vec::new() };
        }
        let written = &mut written.rules;
        for market in state.markets().skip(written.len()) {
            written.push((market.clone(), write_both(state, market)));
        }
        let mut rules = Vec::with_capacity(markets.len());
        for id in markets {
            let (Some(market), Some(entry)) = (state.market(*id), written.get_mut(usize::from(*id))) else { continue };
            if entry.0 != *market {
                *entry = (market.clone(), write_both(state, market));
            }
            rules.push(entry.1[usize::from(show_sets)].clone());
        }
        rules
    }
}

fn write_both(state: &State, market: &Market) -> [Bytes; 2] {
    [false, true].map(|show_sets| Reply::written(2_048, |json| symbol(json, state, market, show_sets)).body)
}

fn symbol(json: &mut Json, state: &State, market: &Market, show_sets: bool) {
    let code = |asset| state.asset(asset).map_or("", |asset| &asset.code);
    let amends = state.feature_level() >= AMENDMENT_LEVEL;
    json.object(|json| {
        json.key("symbol").text(&market.symbol);
        json.key("status").text(market.status.text());
        json.key("baseAsset").text(code(market.base));
        json.key("baseAssetPrecision").integer(DECIMALS as u64);
        json.key("quoteAsset").text(code(market.quote));
        for name in ["quotePrecision", "quoteAssetPrecision", "baseCommissionPrecision", "quoteCommissionPrecision"] {
            json.key(name).integer(DECIMALS as u64);
        }
        json.key("orderTypes").array(Market::ORDER_TYPES, |json, kind| json.text(kind.text()));
        for (name, allowed) in [
            ("icebergAllowed", state.feature_level() >= ICEBERG_LEVEL),
            ("ocoAllowed", true),
            ("otoAllowed", state.feature_level() >= OTO_LEVEL),
            ("opoAllowed", false),
            ("quoteOrderQtyMarketAllowed", true),
            ("allowTrailingStop", state.feature_level() >= TRAILING_LEVEL),
            ("cancelReplaceAllowed", true),
            ("amendAllowed", amends),
            ("pegInstructionsAllowed", false),
            ("isSpotTradingAllowed", true),
            ("isMarginTradingAllowed", false),
        ] {
            json.key(name).boolean(allowed);
        }
        write_filters(json.key("filters"), state, market);
        json.key("permissions").array([(); 0], |_, ()| {});
        let sets: &[&str] = if show_sets { &[PERMISSION] } else { &[] };
        json.key("permissionSets").array(sets, |json, name| json.array([name], |json, name| json.text(name)));
        json.key("defaultSelfTradePreventionMode").text(Market::DEFAULT_STP.text());
        let decrements = state.feature_level() >= DECREMENT_LEVEL;
        let modes = Market::STP_MODES.iter().filter(|mode| decrements || **mode != StpMode::Decrement);
        json.key("allowedSelfTradePreventionModes").array(modes, |json, mode| json.text(mode.text()));
    });
}

/// In the order of the checks.
const FILTERS: [Filter; 13] = [
    Filter::Price,
    Filter::LotSize,
    Filter::MarketLotSize,
    Filter::PercentPriceBySide,
    Filter::Notional,
    Filter::IcebergParts,
    Filter::TrailingDelta,
    Filter::MaxNumOrders,
    Filter::MaxNumAlgoOrders,
    Filter::MaxNumIcebergOrders,
    Filter::MaxPosition,
    Filter::MaxNumOrderLists,
    Filter::MaxNumOrderAmends,
];

/// The filters of a market at the state's feature level.
pub(super) fn write_filters(json: &mut Json, state: &State, market: &Market) {
    let amends = state.feature_level() >= AMENDMENT_LEVEL;
    let applies = |filter: &Filter| match filter {
        Filter::MaxNumOrderAmends => amends,
        Filter::IcebergParts => state.feature_level() >= ICEBERG_LEVEL,
        Filter::TrailingDelta => state.feature_level() >= TRAILING_LEVEL,
        Filter::MaxNumIcebergOrders => market.limits.max_icebergs > 0,
        Filter::MaxPosition => market.limits.max_position > 0,
        Filter::MaxNumOrderLists => market.limits.max_lists > 0,
        _ => true,
    };
    json.array(FILTERS.into_iter().filter(applies), |json, filter| write_filter(json, filter, market));
}

/// The filters of one account over all markets.
pub(super) fn write_exchange_filters(json: &mut Json, limits: ExchangeLimits) {
    let rows = [
        (Filter::ExchangeMaxNumOrders, "maxNumOrders", limits.max_orders),
        (Filter::ExchangeMaxNumAlgoOrders, "maxNumAlgoOrders", limits.max_algo_orders),
        (Filter::ExchangeMaxNumIcebergOrders, "maxNumIcebergOrders", limits.max_icebergs),
        (Filter::ExchangeMaxNumOrderLists, "maxNumOrderLists", limits.max_lists),
    ];
    json.array(rows.into_iter().filter(|row| row.2 > 0), |json, (filter, name, most)| {
        json.object(|json| {
            json.key("filterType").text(filter.text());
            json.key(name).integer(most);
        });
    });
}

fn write_filter(json: &mut Json, filter: Filter, market: &Market) {
    let values = &market.filters;
    json.object(|json| {
        json.key("filterType").text(filter.text());
        match filter {
            Filter::Price => {
                decimals(json, [("minPrice", values.min_price), ("maxPrice", values.max_price), ("tickSize", values.tick_size)])
            }
            Filter::LotSize => {
                decimals(json, [("minQty", values.min_quantity), ("maxQty", values.max_quantity), ("stepSize", values.step_size)])
            }
            Filter::MarketLotSize => decimals(
                json,
                [
                    ("minQty", values.market_min_quantity),
                    ("maxQty", values.market_max_quantity),
                    ("stepSize", values.market_step_size),
                ],
            ),
            Filter::PercentPriceBySide => {
                for (name, rate) in [
                    ("bidMultiplierUp", values.bid_multiplier_up),
                    ("bidMultiplierDown", values.bid_multiplier_down),
                    ("askMultiplierUp", values.ask_multiplier_up),
                    ("askMultiplierDown", values.ask_multiplier_down),
                ] {
                    json.key(name).text(short(rate.into()).as_str());
                }
                json.key("avgPriceMins").integer(values.average_minutes);
            }
            Filter::Notional => {
                json.key("minNotional").decimal(values.min_notional);
                json.key("applyMinToMarket").boolean(values.apply_min_to_market);
                json.key("maxNotional").decimal(values.max_notional);
                json.key("applyMaxToMarket").boolean(values.apply_max_to_market);
                json.key("avgPriceMins").integer(values.average_minutes);
            }
            Filter::MaxNumOrders => json.key("maxNumOrders").integer(values.max_orders),
            Filter::MaxNumAlgoOrders => json.key("maxNumAlgoOrders").integer(values.max_algo_orders),
            Filter::MaxPosition => json.key("maxPosition").decimal(market.limits.max_position),
            Filter::MaxNumOrderLists => json.key("maxNumOrderLists").integer(market.limits.max_lists),
            // Of an account over all markets: see `write_exchange_filters`.
            Filter::ExchangeMaxNumOrders
            | Filter::ExchangeMaxNumAlgoOrders
            | Filter::ExchangeMaxNumIcebergOrders
            | Filter::ExchangeMaxNumOrderLists => {}
            Filter::IcebergParts => json.key("limit").integer(market.limits.parts()),
            Filter::TrailingDelta => {
                for (names, above) in [
                    (["minTrailingAboveDelta", "maxTrailingAboveDelta"], true),
                    (["minTrailingBelowDelta", "maxTrailingBelowDelta"], false),
                ] {
                    for (name, bound) in names.into_iter().zip(market.limits.trailing(above)) {
                        json.key(name).integer(bound);
                    }
                }
            }
            Filter::MaxNumIcebergOrders => json.key("maxNumIcebergOrders").integer(market.limits.max_icebergs),
            Filter::MaxNumOrderAmends => json.key("maxNumOrderAmends").integer(market.limits.amends()),
        }
    });
}

fn decimals<const N: usize>(json: &mut Json, values: [(&str, i64); N]) {
    for (name, value) in values {
        json.key(name).decimal(value);
    }
}

/// Without trailing zeros, as multipliers are written.
fn short(value: Amount) -> String {
    let text = Decimal(value).to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
