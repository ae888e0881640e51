//! One table filled, or a part of one: its pieces, one after the other, into one COPY. Nothing is committed before every hash
//! was right and every row was counted.

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
    /// Cut into at most so many parts of about the same size. Rows of parts cannot be written frozen: the server takes that from
    /// one session only.
    pub fn cut(self, parts: usize) -> Vec<Self> {
        let pieces = &self.table.pieces;
        if parts < 2 || pieces.len() < 2 || pieces.iter().map(|piece| piece.rows).sum::<u64>() != self.table.rows {
            return vec![self];
        }
        let part_bytes = self.table.raw_bytes.div_ceil(parts as u64).max(1);
        let mut cut: Vec<Self> = Vec::new();
        for piece in pieces {
            match cut.last_mut().map(|part| &mut part.table).filter(|table| table.raw_bytes < part_bytes) {
                Some(table) => {
                    table.rows += piece.rows;
                    table.raw_bytes += piece.raw_bytes;
                    table.pieces.push(piece.clone());
                }
                None => {
                    let (rows, raw_bytes, pieces) = (piece.rows, piece.raw_bytes, vec![piece.clone()]);
                    let table = Table { rows, raw_bytes, pieces, ..self.table.clone() };
                    cut.push(Self { table, target: self.target.clone(), created: false });
                }
            }
        }
        cut
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Piece;

    fn filling(pieces: &[u64]) -> Filling {
        let piece = |(number, raw_bytes): (usize, &u64)| Piece {
            lane: 0,
            offset: number as u64,
            bytes: 1,
            sha256: String::new(),
            raw_bytes: *raw_bytes,
            rows: *raw_bytes,
        };
        let raw_bytes = pieces.iter().sum();
        let table = Table {
            dump_id: 1,
            oid: 1,
            schema: "public".into(),
            name: "large".into(),
            columns: Vec::new(),
            rows: raw_bytes,
            raw_bytes,
            checksum: String::new(),
            pieces: pieces.iter().enumerate().map(piece).collect(),
        };
        Filling { table, target: CopyTarget { relation: "public.large".into(), columns: String::new() }, created: true }
    }

    #[test]
    fn parts_have_every_piece_once_and_about_the_same_size() {
        for (pieces, parts, expected) in [
            (&[10; 12][..], 4, &[30, 30, 30, 30][..]),
            (&[10; 5], 4, &[20, 20, 10]),
            (&[100, 1, 1, 1], 4, &[100, 3]),
            (&[1, 1, 1, 100], 2, &[103]),
            (&[7], 4, &[7]),
            (&[7, 7], 1, &[14]),
        ] {
            let cut = filling(pieces).cut(parts);
            assert_eq!(cut.iter().map(|part| part.table.raw_bytes).collect::<Vec<_>>(), expected, "{pieces:?} in {parts}");
            let offsets = cut.iter().flat_map(|part| part.table.pieces.iter().map(|piece| piece.offset));
            assert!(offsets.eq(0..pieces.len() as u64), "{pieces:?} in {parts}");
            assert!(cut.iter().all(|part| part.table.rows == part.table.raw_bytes));
        }
        let mut contradicting = filling(&[10, 10]);
        contradicting.table.rows = 21;
        assert_eq!(contradicting.cut(2).len(), 1, "the count of the whole table finds it");
    }
}
