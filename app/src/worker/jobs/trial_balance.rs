//! This job takes the trial balance: every asset sums to zero, in the fold of the journal and in the tables, and both have the
//! same balances. It changes nothing, so it may run again.

use std::collections::BTreeMap;

use exchange_core::{
    Balance,
    money::{Amount, SCALE},
    order::{AccountId, AssetId},
};
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::JobContext;
use crate::{
    db::ledger::{self, BalanceRow},
    metrics::WorkerMetrics,
    worker::{clock, question::Books},
};

const MICROSECONDS: f64 = 1e6;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakeTrialBalance {}

impl TaskHandler for TakeTrialBalance {
    const IDENTIFIER: &'static str = "trial_balance";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        super::run(self, context, take).await
    }
}

async fn take(_: TakeTrialBalance, context: JobContext) -> anyhow::Result<()> {
    let mut books = context.projector.books().await?;
    let tables = ledger::balances(&mut books.tables).await?;
    report_sums(&context.metrics, &books, &tables);
    report_disagreements(&context.metrics, "balances", &books, &tables);
    context.metrics.trial_balance_time.set(clock::now() as f64 / MICROSECONDS);
    Ok(())
}

fn report_sums(metrics: &WorkerMetrics, books: &Books, tables: &[BalanceRow]) {
    let (journal, tables) = (sums(&books.balances), sums(tables));
    for (asset, code) in books.assets.iter().enumerate() {
        let of = |sums: &BTreeMap<AssetId, Amount>| sums.get(&(asset as AssetId)).copied().unwrap_or(0);
        let (journal, tables) = (of(&journal), of(&tables));
        // The gauge shows the wrong sum of the two: zero must mean that both are zero.
        let shown = if journal != 0 { journal } else { tables };
        metrics.trial_balance.with_label_values(&[&**code]).set(shown as f64 / SCALE as f64);
        if shown != 0 {
            tracing::error!(asset = %code, sequence = books.sequence, %journal, %tables, "the trial balance is not zero (units of 10^-8)");
        }
    }
}

fn sums(balances: &[BalanceRow]) -> BTreeMap<AssetId, Amount> {
    let mut sums = BTreeMap::new();
    for (_, asset, balance) in balances {
        *sums.entry(*asset).or_default() += balance.free + balance.locked;
    }
    sums
}

/// Counts the balances on which the journal's fold and `found` differ, and logs the first.
pub(super) fn report_disagreements(metrics: &WorkerMetrics, comparison: &str, books: &Books, found: &[BalanceRow]) {
    let differing = disagreements(&books.balances, found);
    metrics.disagreements.with_label_values(&[comparison]).set(differing.len() as i64);
    if let Some(((account, asset), (journal, found))) = differing.first_key_value() {
        tracing::error!(
            comparison,
            count = differing.len(),
            sequence = books.sequence,
            account,
            asset,
            journal = ?journal,
            found = ?found,
            "the tables disagree with the journal: find the writer that changed them, then run `exchange worker rebuild`"
        );
    }
}

type Disagreements = BTreeMap<(AccountId, AssetId), (Balance, Balance)>;

/// A missing balance counts as an empty one.
fn disagreements(journal: &[BalanceRow], found: &[BalanceRow]) -> Disagreements {
    let mut both: Disagreements = BTreeMap::new();
    for (account, asset, balance) in journal {
        both.entry((*account, *asset)).or_default().0 = *balance;
    }
    for (account, asset, balance) in found {
        both.entry((*account, *asset)).or_default().1 = *balance;
    }
    both.retain(|_, (journal, found)| journal != found);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_on_either_side() {
        let row = |account, free| (account, 0, Balance { free, locked: 0 });
        let journal = [row(0, -5), row(1, 0), row(2, 5)];
        assert!(disagreements(&journal, &[row(2, 5), row(0, -5)]).is_empty(), "an empty balance needs no row");
        let found = disagreements(&journal, &[row(0, -5), row(2, 4), row(3, 1)]);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [(2, 0), (3, 0)]);
    }
}
