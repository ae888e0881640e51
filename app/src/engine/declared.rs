//! This module journals declarations: decisions of an operator while no server could lead (a loss of history, time set back). It
//! must not validate a declaration; the command that records one does.

use sqlx::{PgConnection, PgPool};
use tokio::time::sleep;

use exchange_core::command::{AdminAction, Command, Operator};

use super::{leader::Leader, shared::Shared};
use crate::db::{
    declarations::{self, Declaration},
    session::within,
};

/// Interval between checks whether a declaration's batch is durable.
const POLL: std::time::Duration = std::time::Duration::from_millis(50);

#[derive(Default)]
pub(super) struct Declared {
    pending: Vec<Declaration>,
}

impl Declared {
    /// Reads the declarations that are not journalled yet.
    pub async fn read(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        self.pending = within(declarations::pending_declarations(connection)).await?;
        Ok(())
    }

    /// Whether an operator requests to set journal time to the clock.
    pub fn sets_time_back(&self) -> bool {
        self.pending.iter().any(|declaration| declaration.kind == declarations::TIME)
    }

    /// Passes the declarations to `leader` as its first commands.
    pub fn begin(&mut self, leader: &mut Leader<'_>) {
        let declared = std::mem::take(&mut self.pending);
        if declared.is_empty() {
            return;
        }
        let ids: Vec<_> = declared.iter().map(|declaration| declaration.id).collect();
        let commands: Vec<_> = declared.into_iter().map(command).collect();
        leader.begin_with(&commands, ids);
    }
}

fn command(declaration: Declaration) -> Command {
    let Declaration { kind, actor, reason, ends_at, through, .. } = declaration;
    let operator = Operator { actor: actor.into(), reason: reason.into() };
    let text = if kind == declarations::TIME {
        return Command::Admin { operator, action: AdminAction::SetTimeBack };
    } else {
        format!("declare the history lost that led from sequence {ends_at} to {through}")
    };
    Command::Admin { operator, action: AdminAction::Note { text: text.into() } }
}

/// Marks the declarations once their batch is durable. If marking fails, the next leader journals them again.
pub(super) async fn mark(pool: PgPool, ids: Vec<i64>, sequence: u64, reached: impl Fn() -> bool) {
    while !reached() {
        sleep(POLL).await;
    }
    let marked = async {
        let mut connection = pool.acquire().await?;
        for id in &ids {
            declarations::journalled(&mut connection, *id, sequence as i64).await?;
        }
        Ok::<_, sqlx::Error>(())
    };
    match marked.await {
        Ok(()) => tracing::warn!(sequence, declarations = ids.len(), "journalled the declarations of an operator"),
        Err(error) => tracing::warn!(%error, "failed to mark a declaration as journalled; the next leader journals it again"),
    }
}

impl Shared {
    /// Runs [`mark`] in a separate task.
    pub(super) fn mark_declarations(&self, ids: Vec<i64>, sequence: u64) {
        let committed = std::sync::Arc::clone(&self.committed);
        tokio::spawn(mark(self.pool(), ids, sequence, move || committed.read().state.sequence() >= sequence));
    }
}
