//! This module updates metrics that are read from state: books, readiness, trades by market.

use std::{sync::Weak, time::Duration};

use exchange_core::{State, event::Event, money::SCALE, order::Side};
use service_kit::{
    health::Health,
    metrics::{Counter, IntCounter},
};

use super::shared::Shared;
use crate::metrics::EngineMetrics;

const REFRESH: Duration = Duration::from_secs(1);
/// Levels counted per side: enough to detect a thin book.
const LEVELS: usize = 1000;

/// Updates the gauges while the engine has an owner.
pub(super) async fn refresh(shared: Weak<Shared>, health: Health) {
    let mut every = tokio::time::interval(REFRESH);
    loop {
        every.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let metrics = &shared.metrics;
        metrics.ready.set(i64::from(health.is_ready()));
        metrics.queue_depth.set(shared.queue.depth() as i64);
        let committed = shared.committed.read();
        let state = &committed.state;
        metrics.sequence.set(state.sequence() as i64);
        if state.now() > 0 {
            metrics.journal_age.set((shared.clock.now() - state.now()) as f64 / 1e6);
        }
        for market in state.markets() {
            let depth = state.depth(market.id, LEVELS);
            for (side, levels) in [("bid", depth.bids.len()), ("ask", depth.asks.len())] {
                metrics.book_levels.with_label_values(&[&market.symbol, side]).set(levels as i64);
            }
            metrics.queued_orders.with_label_values(&[&market.symbol]).set(state.queued_orders(market.id) as i64);
            metrics.market_paused.with_label_values(&[&market.symbol]).set(i64::from(state.is_paused(market.id)));
            match (state.best(market.id, Side::Buy), state.best(market.id, Side::Sell)) {
                (Some((bid, _)), Some((ask, _))) => {
                    let middle = (bid as f64 + ask as f64) / 2.0;
                    metrics.spread.with_label_values(&[&market.symbol]).set((ask - bid) as f64 / middle);
                }
                // A stale figure would look like a healthy book.
                _ => drop(metrics.spread.remove_label_values(&[&market.symbol])),
            }
            if let (Some(last), Some(reference)) =
                (state.last_price(market.id), state.reference_price(market.id, shared.clock.now()))
            {
                metrics.price_deviation.with_label_values(&[&market.symbol]).set(last as f64 / reference as f64 - 1.0);
            }
        }
    }
}

/// Counts trades by market; finds a market's counters by its number.
pub(super) struct TradeCounters {
    metrics: EngineMetrics,
    by_market: Vec<(IntCounter, Counter)>,
}

impl TradeCounters {
    pub fn new(metrics: &EngineMetrics) -> Self {
        Self { metrics: metrics.clone(), by_market: Vec::new() }
    }

    pub fn count(&mut self, events: &[Event], state: &State) {
        for event in events {
            let Event::Trade(trade) = event else { continue };
            while self.by_market.len() <= usize::from(trade.market) {
                let Some(market) = state.market(self.by_market.len() as u16) else { return };
                self.by_market.push((
                    self.metrics.trades.with_label_values(&[&market.symbol]),
                    self.metrics.volume.with_label_values(&[&market.symbol]),
                ));
            }
            let (trades, volume) = &self.by_market[usize::from(trade.market)];
            trades.inc();
            volume.inc_by(trade.quantity as f64 / SCALE as f64);
        }
    }
}
