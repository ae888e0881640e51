//! This module decides an operator's protections: halts, cancels of a whole market, delisting, PRICE_RANGE, circuit breaker,
//! feature level. It must not run the steps of a cancel-all (see `work`).

use super::Decision;
use super::admin::invalid;
use super::work::CANCEL_CHUNK;
use crate::command::{Operator, Outcome};
use crate::event::{Event, FEATURE_LEVEL};
use crate::market::MarketStatus;
use crate::money::{Decimal, Price};
use crate::order::{AccountId, MarketId};
use crate::protection::{Breaker, CancelScope, PriceRange};
use crate::refusal::Refusal;

fn all_right(faults: Vec<String>) -> Result<(), Refusal> {
    if faults.is_empty() { Ok(()) } else { Err(invalid(faults.join("; "))) }
}

impl Decision<'_> {
    pub(super) fn set_market_status(
        &mut self,
        operator: &Operator,
        market: MarketId,
        status: MarketStatus,
    ) -> Result<Outcome, Refusal> {
        if status == MarketStatus::Break {
            return Err(invalid("status BREAK is set by `exchange admin market delist`"));
        }
        let symbol = self.listed(market)?;
        if status == MarketStatus::Trading && self.state.markets[usize::from(market)].clearing > 0 {
            return Err(invalid(format!("{symbol}: its orders are still being canceled: resume it when none is open")));
        }
        let text = format!("set status of {symbol} to {status}");
        Ok(self.act(operator, &text, Event::MarketStatusSet { market, status }))
    }

    /// One event for each market that changes: at most 65,536, in one decision.
    pub(super) fn set_every_status(
        &mut self,
        operator: &Operator,
        status: MarketStatus,
        except: &[MarketId],
    ) -> Result<Outcome, Refusal> {
        if status == MarketStatus::Break {
            return Err(invalid("status BREAK is set by `exchange admin market delist`, for one market"));
        }
        let changes = |entry: &&crate::state::MarketEntry| {
            let current = entry.market.status;
            let resumable = status != MarketStatus::Trading || entry.clearing == 0;
            // A paused market would resume by itself: an operator's status ends the pause.
            let differs = current != status || entry.tripped;
            differs && current != MarketStatus::Break && resumable && !except.contains(&entry.market.id)
        };
        let changed: Vec<MarketId> = self.state.markets.iter().filter(changes).map(|entry| entry.market.id).collect();
        self.note(operator, &format!("set status of every market to {status}: {} changed", changed.len()));
        for market in &changed {
            self.emit(Event::MarketStatusSet { market: *market, status });
        }
        Ok(Outcome::StatusChanged(changed))
    }

    pub(super) fn cancel_market_orders(&mut self, operator: &Operator, market: MarketId) -> Result<Outcome, Refusal> {
        self.needs_level_2()?;
        let symbol = self.market(market)?.symbol.clone();
        if self.market(market)?.status == MarketStatus::Trading {
            return Err(invalid(format!("{symbol} trades: halt it first, or set it to cancel-only")));
        }
        self.note(operator, &format!("cancel every order of {symbol}"));
        self.clear(market);
        Ok(Outcome::CancelQueued(None))
    }

    pub(super) fn delist(&mut self, operator: &Operator, market: MarketId) -> Result<Outcome, Refusal> {
        self.needs_level_2()?;
        let symbol = self.market(market)?.symbol.clone();
        if self.market(market)?.status == MarketStatus::Break {
            return Ok(Outcome::Done);
        }
        self.note(operator, &format!("delist {symbol}"));
        self.emit(Event::MarketStatusSet { market, status: MarketStatus::Break });
        self.clear(market);
        Ok(Outcome::CancelQueued(None))
    }

    fn clear(&mut self, market: MarketId) {
        let entry = &self.state.markets[usize::from(market)];
        if entry.clearing == 0 && entry.book.any_order().is_some() {
            let through = self.state.last_order;
            self.emit(Event::CancelAllBegun { scope: CancelScope::Market(market), through });
        }
    }

    /// Immediate if one step of the queued work could do it.
    pub(super) fn cancel_account_orders(&mut self, operator: &Operator, account: AccountId) -> Outcome {
        self.note(operator, &format!("cancel the orders of account {account}"));
        let entry = self.state.accounts.get(account as usize);
        let open = entry.map_or(0, |entry| entry.orders.iter().map(|orders| orders.open as usize).sum());
        if open <= CANCEL_CHUNK || self.state.feature_level < 2 {
            return Outcome::CanceledAll(self.cancel_open(account, None));
        }
        let through = self.state.last_order;
        self.emit(Event::CancelAllBegun { scope: CancelScope::Account(account), through });
        Outcome::CancelQueued(Some(open))
    }

    pub(super) fn set_price_range(
        &mut self,
        operator: &Operator,
        market: MarketId,
        rule: Option<PriceRange>,
    ) -> Result<Outcome, Refusal> {
        self.needs_level_2()?;
        let symbol = self.listed(market)?;
        rule.map_or(Ok(()), |rule| all_right(rule.check()))?;
        let text = rule.map_or("none".to_owned(), |rule| {
            let [bid_up, bid_down, ask_up, ask_down] =
                [rule.bid_up, rule.bid_down, rule.ask_up, rule.ask_down].map(|rate| Decimal(rate.into()));
            format!("bid {bid_down} to {bid_up}, ask {ask_down} to {ask_up}")
        });
        Ok(self.act(operator, &format!("set PRICE_RANGE of {symbol}: {text}"), Event::PriceRangeSet { market, rule }))
    }

    pub(super) fn set_reference_price(
        &mut self,
        operator: &Operator,
        market: MarketId,
        price: Price,
    ) -> Result<Outcome, Refusal> {
        self.needs_level_2()?;
        let symbol = self.listed(market)?;
        let filters = &self.market(market)?.filters;
        if price != 0 && !(filters.min_price..=filters.max_price).contains(&price) {
            return Err(invalid(format!("reference price of {symbol}: must be 0 (none) or from minPrice to maxPrice")));
        }
        let text = format!("set reference price of {symbol} to {}", Decimal(price.into()));
        Ok(self.act(operator, &text, Event::ReferencePriceSet { market, price }))
    }

    pub(super) fn set_breaker(
        &mut self,
        operator: &Operator,
        market: MarketId,
        breaker: Option<Breaker>,
    ) -> Result<Outcome, Refusal> {
        self.needs_level_2()?;
        let symbol = self.listed(market)?;
        breaker.map_or(Ok(()), |breaker| all_right(breaker.check()))?;
        let text = breaker.map_or("none".to_owned(), |breaker| {
            format!("deviation {}, pause {} s", Decimal(breaker.deviation.into()), breaker.pause / 1_000_000)
        });
        Ok(self.act(operator, &format!("set circuit breaker of {symbol}: {text}"), Event::BreakerSet { market, breaker }))
    }

    pub(super) fn set_feature_level(&mut self, operator: &Operator, level: u32) -> Result<Outcome, Refusal> {
        let current = self.state.feature_level;
        if level == current {
            return Ok(Outcome::Done);
        }
        if level < current || level > FEATURE_LEVEL {
            return Err(invalid(format!(
                "feature level {level}: this release reads levels up to {FEATURE_LEVEL}, the journal is at {current}, and a level never goes back"
            )));
        }
        Ok(self.act(operator, &format!("set feature level {level}, was {current}"), Event::FeatureLevel(level)))
    }

    /// The only recovery after a clock ran ahead, possible while no server leads: it therefore raises the feature level itself.
    /// The command that requests it refuses while a reader of an earlier release is connected.
    pub(super) fn set_time_back(&mut self, operator: &Operator) -> Outcome {
        let (to, ahead) = (self.clock, self.state.now - self.clock);
        if ahead <= 0 {
            return Outcome::Done;
        }
        if self.state.feature_level < FEATURE_LEVEL {
            self.emit(Event::FeatureLevel(FEATURE_LEVEL));
        }
        let text = format!("set journal time back by {} ms", ahead / 1000);
        let done = self.act(operator, &text, Event::TimeSetBack(to));
        self.time = to;
        done
    }

    fn needs_level_2(&self) -> Result<(), Refusal> {
        if self.state.feature_level >= 2 {
            return Ok(());
        }
        Err(invalid(
            "this needs feature level 2: when every server and worker runs this release, run `exchange admin feature-level set 2`",
        ))
    }

    /// Symbol of a market that is not delisted.
    pub(super) fn listed(&self, market: MarketId) -> Result<Box<str>, Refusal> {
        let market = self.market(market)?;
        if market.status == MarketStatus::Break {
            return Err(invalid(format!("{} is delisted for good: create another market", market.symbol)));
        }
        Ok(market.symbol.clone())
    }
}
