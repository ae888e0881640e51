//! This module sets and checks the filters of positions and counts that an operator may add. It must not check prices or quantities
//! (see `place`).

use super::Decision;
use super::admin::invalid;
use super::place::refuse;
use crate::command::{NewOrder, Operator, Outcome};
use crate::event::{Event, LIMITS_LEVEL};
use crate::limits::{ExchangeLimits, ICEBERG_PARTS, ICEBERG_PARTS_MAX, MarketLimits, TRAILING_DELTA_MAX};
use crate::market::Market;
use crate::money::{Amount, Decimal};
use crate::order::{AccountId, MarketId, Side};
use crate::refusal::{Filter, Refusal};
use crate::state::{AccountEntry, OpenOrders, State};

impl State {
    /// MAX_POSITION (free and locked base asset, and the remainders of open buy orders), and the orders of an account over all
    /// markets. `count` orders are placed together.
    pub(super) fn check_limits(
        &self,
        new: &NewOrder,
        market: &Market,
        account: &AccountEntry,
        count: u32,
    ) -> Result<(), Refusal> {
        let most = market.limits.max_position;
        if most > 0 && new.side == Side::Buy {
            let balance = self.balance(new.account, market.base);
            let held = balance.free + balance.locked + self.buying(new.account, market.id);
            let position = held.saturating_add(new.quantity.into());
            refuse(position > Amount::from(most), Filter::MaxPosition)?;
        }
        let ExchangeLimits { max_orders, max_algo_orders, max_icebergs, .. } = self.limits;
        let OpenOrders { all, algo, icebergs } = account.open_everywhere;
        refuse(max_orders > 0 && all.saturating_add(count) > max_orders, Filter::ExchangeMaxNumOrders)?;
        let algo_full = max_algo_orders > 0 && new.kind.is_algo() && algo >= max_algo_orders;
        refuse(algo_full, Filter::ExchangeMaxNumAlgoOrders)?;
        let icebergs_full = max_icebergs > 0 && new.iceberg > 0 && icebergs >= max_icebergs;
        refuse(icebergs_full, Filter::ExchangeMaxNumIcebergOrders)
    }
}

impl Decision<'_> {
    /// MAX_NUM_ORDER_LISTS and EXCHANGE_MAX_NUM_ORDER_LISTS.
    pub(super) fn check_list_count(&self, account: AccountId, market: MarketId) -> Result<(), Refusal> {
        let entry = self.state.trading_account(account)?;
        let here = entry.orders_on(market).map_or(0, |orders| orders.lists);
        let (on_market, everywhere) = (self.market(market)?.limits.max_lists, self.state.limits.max_lists);
        refuse(on_market > 0 && here >= on_market, Filter::MaxNumOrderLists)?;
        refuse(everywhere > 0 && entry.lists.len() >= everywhere as usize, Filter::ExchangeMaxNumOrderLists)
    }

    pub(super) fn set_market_limits(
        &mut self,
        operator: &Operator,
        market: MarketId,
        limits: MarketLimits,
    ) -> Result<Outcome, Refusal> {
        self.needs_limits_level(limits.level())?;
        let symbol = self.listed(market)?;
        if limits.max_position < 0 {
            return Err(invalid("maxPosition must be above 0, or 0 for no such filter"));
        }
        if limits.iceberg_parts > ICEBERG_PARTS_MAX || limits.iceberg_parts == 1 {
            let sent = limits.iceberg_parts;
            return Err(invalid(format!(
                "the limit of ICEBERG_PARTS must be 2 to {ICEBERG_PARTS_MAX}, or 0 for {ICEBERG_PARTS}; sent: {sent}"
            )));
        }
        let least = self.market(market)?.filters.min_quantity;
        if limits.max_position > 0 && limits.max_position < least {
            return Err(invalid(format!(
                "maxPosition {} of {symbol} is below minQty {}: every BUY order would be refused; use at least minQty, or 0 for no such filter",
                Decimal(limits.max_position.into()),
                Decimal(least.into())
            )));
        }
        for (name, above) in [("trailingAboveDelta", true), ("trailingBelowDelta", false)] {
            let [low, high] = limits.trailing(above);
            if low > high || high > TRAILING_DELTA_MAX {
                let bounds = format!("from 1 to {TRAILING_DELTA_MAX} basis points, the minimum not above the maximum");
                return Err(invalid(format!("{name} must be {bounds}; sent: {low} to {high}")));
            }
        }
        let text = format!("set limits of {symbol}: {}", limits.listed());
        Ok(self.act(operator, &text, Event::MarketLimitsSet { market, limits }))
    }

    pub(super) fn set_exchange_limits(&mut self, operator: &Operator, limits: ExchangeLimits) -> Result<Outcome, Refusal> {
        self.needs_limits_level(limits.level())?;
        let text = format!("set limits of the exchange: {}", limits.listed());
        Ok(self.act(operator, &text, Event::ExchangeLimitsSet(limits)))
    }

    fn needs_limits_level(&self, level: u32) -> Result<(), Refusal> {
        let level = level.max(LIMITS_LEVEL);
        if self.state.feature_level >= level {
            return Ok(());
        }
        Err(invalid(format!(
            "this needs feature level {level}: when every server and worker runs this release, run `exchange admin feature-level set \
             {level}`"
        )))
    }
}
