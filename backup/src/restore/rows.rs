//! This module fills one table, or a part of one, with one COPY of its pieces in order. It must not commit before every hash is
//! verified and every row is counted.

use tokio::sync::mpsc;

use super::{
    RestoreError,
    progress::RestoreProgress,
    sessions::{RestoreSession, RowsSender},
};
use crate::{archive::CopyTarget, manifest::Table, reading::BackupReader, wire::WireError};

/// Buffers queued for the server.
const BUFFERS_AHEAD: usize = 2;

/// Inputs for filling a table.
#[derive(Debug, Clone)]
pub struct Filling {
    pub table: Table,
    pub target: CopyTarget,
    /// The restore created the table, so it is empty and invisible to other sessions. Its rows can be written frozen, and without
    /// WAL if the server's settings allow. A table that an extension created must not be emptied.
    pub created: bool,
    /// Its rows go to the root of its partitions, which routes each row to its partition on this server.
    pub through_root: bool,
    /// Tables whose rows must precede these, by the dump ids of their rows. pg_dump orders configuration tables of extensions by
    /// their foreign keys, which exist before the rows.
    pub after: Vec<i32>,
}

impl Filling {
    /// Splits the table into at most this many parts of similar size. Rows of parts cannot be written frozen, since the server
    /// allows that in one session only.
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
                    cut.push(Self { table, created: false, ..self.clone() });
                }
            }
        }
        cut
    }

    /// Writes the rows and returns their number. A table without rows costs nothing.
    pub async fn run(
        &self,
        session: &mut RestoreSession,
        reader: &BackupReader,
        progress: &RestoreProgress,
    ) -> Result<u64, RestoreError> {
        if self.table.pieces.is_empty() {
            return Ok(0);
        }
        let failed = |error: WireError| RestoreError::writing(&self.name())(error);
        let begin =
            if self.created { [b"BEGIN; TRUNCATE ONLY ", self.target.relation.as_slice()].concat() } else { b"BEGIN".to_vec() };
        session.query(begin).await.map_err(failed)?;
        let (sender, receiver) = mpsc::channel(BUFFERS_AHEAD);
        let copying = session.copy_in(self.target.copy_in(if self.created { "FREEZE" } else { "" }), receiver);
        let (copied, read) = tokio::join!(copying, self.read(sender, reader, progress));
        read?;
        let rows = copied.map_err(failed)?;
        if rows != self.table.rows {
            return Err(RestoreError::Count { table: self.name(), expected: self.table.rows, found: rows });
        }
        session.query("COMMIT").await.map_err(failed)?;
        Ok(rows)
    }

    /// Sends every piece to the COPY. If the server refuses a row, its answer states the reason.
    async fn read(&self, sender: RowsSender, reader: &BackupReader, progress: &RestoreProgress) -> Result<(), RestoreError> {
        for piece in &self.table.pieces {
            let mut bytes = reader.piece(piece);
            while let Some(bytes) = bytes.next().await? {
                progress.add(bytes.len() as u64);
                if sender.send(Some(bytes)).await.is_err() {
                    return Ok(());
                }
            }
        }
        let _ = sender.send(None).await;
        Ok(())
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
            copied_to: None,
            rows: raw_bytes,
            raw_bytes,
            checksum: String::new(),
            pieces: pieces.iter().enumerate().map(piece).collect(),
        };
        Filling {
            table,
            target: CopyTarget { relation: b"public.large".to_vec(), columns: Vec::new() },
            created: true,
            through_root: false,
            after: Vec::new(),
        }
    }

    #[test]
    fn parts_contain_each_piece_once_and_have_similar_sizes() {
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
