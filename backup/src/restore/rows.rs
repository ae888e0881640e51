//! One table filled: its pieces, one after the other, into one COPY. Nothing is committed before every hash was right and
//! every row was counted.

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::{RestoreFault, progress::Progress};
use crate::{archive::CopyTarget, manifest::Table, reading::BackupReader};

/// What filling a table takes.
#[derive(Debug, Clone)]
pub struct Filling {
    pub table: Table,
    pub target: CopyTarget,
    /// Created by this restore, so empty and seen by nobody else: its rows can be written frozen, and without a log where the
    /// server keeps none. A table that an extension created is not ours to empty.
    pub created: bool,
}

impl Filling {
    /// Rows written. A table without rows costs nothing.
    pub async fn run(
        &self,
        connection: &mut PgConnection,
        reader: &BackupReader,
        progress: &Progress,
    ) -> Result<u64, RestoreFault> {
        if self.table.pieces.is_empty() {
            return Ok(0);
        }
        let failed = |error: sqlx::Error| RestoreFault::Rows { table: self.name(), reason: error.to_string() };
        let begin = if self.created { format!("BEGIN; TRUNCATE ONLY {}", self.target.relation) } else { "BEGIN".to_owned() };
        connection.execute(AssertSqlSafe(begin)).await.map_err(failed)?;
        let mut copy =
            connection.copy_in_raw(&self.target.copy_in(if self.created { "FREEZE" } else { "" })).await.map_err(failed)?;
        for piece in &self.table.pieces {
            let mut bytes = reader.piece(piece);
            loop {
                match bytes.next().await {
                    Ok(None) => break,
                    // When the server refused a row, its reason comes at the end of the COPY.
                    Ok(Some(bytes)) => {
                        let length = bytes.len() as u64;
                        copy.send(bytes).await.map_err(failed)?;
                        progress.add(length);
                    }
                    Err(fault) => {
                        let _ = copy.abort("the backup cannot be read").await;
                        return Err(fault.into());
                    }
                }
            }
        }
        let rows = copy.finish().await.map_err(failed)?;
        if rows != self.table.rows {
            return Err(RestoreFault::Count { table: self.name(), expected: self.table.rows, found: rows });
        }
        connection.execute("COMMIT").await.map_err(failed)?;
        Ok(rows)
    }

    fn name(&self) -> String {
        format!("{}.{}", self.table.schema, self.table.name)
    }
}
