//! This module compares the execution reports that connections received with the journal's changes of orders. It must not read either.
//!
//! - A connection receives each change of the account's orders at most once, in the order of the journal.
//! - Between its first and its last report it receives every placement, trigger and trade. The end of an order may be part of the report
//!   before it, so a missing end is not an error.

use super::record::Subscription;
use crate::foundation::FIRST_ACCOUNT;
use anyhow::{Result, ensure};
use exchange_core::event::Event;
use exchange_core::order::{AccountId, Order, OrderId};
use std::collections::{BTreeMap, BTreeSet};

/// The orders of one account by the sequence of an event that changed them, and whether each has a report.
type Changes = BTreeMap<(u64, OrderId), bool>;

/// Every account's changes, and each connection's progress.
#[derive(Default)]
pub struct Reports {
    changes: BTreeMap<AccountId, Changes>,
    progress: BTreeMap<Subscription, Progress>,
}

#[derive(Default)]
struct Progress {
    /// The last sequence, and its orders that were reported.
    sequence: u64,
    orders: BTreeSet<OrderId>,
}

impl Reports {
    /// Notes an order that the event with this sequence changed.
    pub fn changed(&mut self, sequence: u64, event: &Event, order: &Order) {
        let reported = match event {
            Event::OrderPlaced(_)
            | Event::ExtendedOrderPlaced(_)
            | Event::OrderTriggered { .. }
            | Event::PendingActivated { .. } => true,
            // Another order began to track the price: not an event of its account.
            Event::Trade(trade) if ![trade.taker, trade.maker].contains(&{ order.id }) => return,
            Event::Trade(_) => true,
            _ => false,
        };
        self.changes.entry(order.account).or_default().insert((sequence, order.id), reported);
    }

    /// The next report of a connection.
    pub fn confirm(&mut self, subscription: Subscription, sequence: u64, order: OrderId) -> Result<()> {
        let Self { changes, progress } = self;
        let changes = changes.entry(FIRST_ACCOUNT + subscription.account).or_default();
        ensure!(
            changes.contains_key(&(sequence, order)),
            "{subscription:?}: a report of order {order} at {sequence}, which changed nothing"
        );
        let begun = progress.contains_key(&subscription);
        let progress = progress.entry(subscription).or_default();
        let before = progress.sequence;
        ensure!(sequence >= before, "{subscription:?}: a report of sequence {sequence} after one of {before}");
        if sequence > before {
            if begun {
                let between = changes.range((before, 0)..(sequence, 0));
                let mut missing =
                    between.filter(|((at, order), reported)| **reported && (*at > before || !progress.orders.contains(order)));
                let missing = missing.next().map(|(change, _)| change);
                ensure!(
                    missing.is_none(),
                    "{subscription:?}: no report of {missing:?} (sequence, order) before that of {sequence}"
                );
            }
            (progress.sequence, progress.orders) = (sequence, BTreeSet::new());
        }
        ensure!(progress.orders.insert(order), "{subscription:?}: order {order} was reported twice at sequence {sequence}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: Subscription = Subscription { account: 0, at: 0, number: 1 };

    /// Order 1 was placed and traded, order 2 placed and canceled.
    fn reports() -> Reports {
        let mut reports = Reports::default();
        let rows = [((10, 1), true), ((11, 2), true), ((12, 1), true), ((13, 2), false), ((14, 1), true)];
        reports.changes.insert(FIRST_ACCOUNT, rows.into_iter().collect());
        reports
    }

    fn run(seen: &[(u64, u64)]) -> Result<()> {
        let mut reports = reports();
        seen.iter().try_for_each(|(sequence, order)| reports.confirm(SUBSCRIPTION, *sequence, *order))
    }

    #[test]
    fn gaps_repeats_and_wrong_orders_of_reports_are_found() {
        run(&[(10, 1), (11, 2), (12, 1), (13, 2), (14, 1)]).unwrap();
        run(&[(11, 2), (12, 1), (14, 1)]).unwrap();
        for (seen, error) in [
            (&[(10, 1), (12, 1)][..], "no report of Some((11, 2))"),
            (&[(10, 1), (10, 1)], "was reported twice"),
            (&[(12, 1), (11, 2)], "after one of 12"),
            (&[(10, 2)], "which changed nothing"),
        ] {
            let refused = run(seen).unwrap_err().to_string();
            assert!(refused.contains(error), "{refused}");
        }
    }
}
