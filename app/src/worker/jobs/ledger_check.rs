//! This job adds up the whole ledger: for every account and asset the transfers must equal the balance. It changes nothing, so it
//! may run again.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{JobContext, trial_balance::report_disagreements};
use crate::db::ledger;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LedgerCheck {}

impl TaskHandler for LedgerCheck {
    const IDENTIFIER: &'static str = "ledger_check";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        super::run(self, context, check).await
    }
}

async fn check(_: LedgerCheck, context: JobContext) -> anyhow::Result<()> {
    let mut books = context.projector.books().await?;
    let transfers = ledger::balances_by_transfers(&mut books.tables).await?;
    report_disagreements(&context.metrics, "transfers", &books, &transfers);
    Ok(())
}
