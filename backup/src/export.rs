//! This module writes a backup as a custom archive that stock `pg_restore` reads from a pipe. Such a restore does not depend on
//! the agent.
//!
//! The archive contains pg_dump's table of contents, followed by the rows in the same order, since pg_restore cannot seek in a
//! pipe. A failed export ends in the middle of a block, which pg_restore rejects.

use std::collections::BTreeMap;

use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use crate::{
    archive::{END_OF_COPY, Header, block_end, chunk, large_object_start, large_objects_start, rows_start},
    manifest::{LargeObjects, Piece, Table},
    reading::BackupReader,
    restore::{Chosen, ObjectChunk, Opened, RestoreError},
};

/// Number of bytes collected before a write.
const BUFFER_BYTES: usize = 256 << 10;
/// Fills the holes of large objects.
const ZEROS: [u8; 8192] = [0; 8192];

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Backup(#[from] RestoreError),
    #[error("failed to write the archive: {0}")]
    Write(#[from] std::io::Error),
}

/// Writes one database, or the selected part of it.
///
/// # Errors
/// Returns an error if the backup cannot be read or the output cannot be written. The archive is then incomplete.
pub async fn export_backup(
    reader: &BackupReader,
    opened: &Opened<'_>,
    chosen: &Chosen,
    output: impl AsyncWrite + Unpin,
) -> Result<u64, ExportError> {
    let toc = opened.toc.only(|entry| chosen.entries.contains(&entry.dump_id)).event_triggers_last();
    let mut archive = Archive { output: BufWriter::with_capacity(BUFFER_BYTES, output), header: &toc.header, reader, bytes: 0 };
    archive.write(&toc.to_bytes()).await?;
    // Since PostgreSQL 17 there are several entries; each can contain any object.
    let mut large_objects = opened.contents.large_objects.as_ref();
    for entry in toc.with_data() {
        if entry.is_large_objects() {
            archive.large_objects(entry.dump_id, large_objects.take()).await?;
        } else {
            let table = opened.contents.tables.iter().find(|table| table.dump_id == entry.dump_id);
            let table = table.ok_or_else(|| contradiction(format!("the rows of {} are missing", entry.display_name())))?;
            archive.rows(table).await?;
        }
    }
    archive.output.shutdown().await?;
    Ok(archive.bytes)
}

fn contradiction(what: String) -> ExportError {
    RestoreError::Contents(what).into()
}

struct Archive<'a, Output> {
    output: BufWriter<Output>,
    header: &'a Header,
    reader: &'a BackupReader,
    bytes: u64,
}

impl<Output: AsyncWrite + Unpin> Archive<'_, Output> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.bytes += bytes.len() as u64;
        self.output.write_all(bytes).await.map_err(ExportError::Write)
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        // A chunk without bytes would end the block.
        if bytes.is_empty() {
            return Ok(());
        }
        self.write(&chunk(self.header, bytes.len())).await?;
        self.write(bytes).await
    }

    async fn rows(&mut self, table: &Table) -> Result<(), ExportError> {
        self.write(&rows_start(self.header, table.dump_id)).await?;
        for piece in &table.pieces {
            let mut bytes = self.reader.piece(piece);
            while let Some(bytes) = bytes.next().await.map_err(RestoreError::from)? {
                self.chunk(&bytes).await?;
            }
        }
        self.chunk(END_OF_COPY).await?;
        self.write(&block_end(self.header)).await
    }

    async fn large_objects(&mut self, dump_id: i32, objects: Option<&LargeObjects>) -> Result<(), ExportError> {
        self.write(&large_objects_start(self.header, dump_id)).await?;
        for piece in objects.iter().flat_map(|objects| &objects.pieces) {
            self.large_object_piece(piece).await?;
        }
        self.write(&block_end(self.header)).await
    }

    /// In the archive, an object's bytes are contiguous. In a piece, the first chunks of many objects precede the later chunks of
    /// a few. First chunks are held (a piece has a bounded number of them) until the rest of their object or the end arrives.
    async fn large_object_piece(&mut self, piece: &Piece) -> Result<(), ExportError> {
        let (mut bytes, mut pending) = (self.reader.piece(piece), Vec::new());
        let (mut first, mut open) = (BTreeMap::new(), None);
        while let Some(more) = bytes.next().await.map_err(RestoreError::from)? {
            pending.extend_from_slice(&more);
            let mut used = 0;
            while let Some((chunk, length)) = ObjectChunk::parse(&pending[used..])? {
                used += length;
                if chunk.offset == 0 {
                    first.insert(chunk.object, chunk.bytes.to_vec());
                } else {
                    self.later_chunk(&chunk, &mut first, &mut open).await?;
                }
            }
            pending.drain(..used);
        }
        if !pending.is_empty() {
            return Err(contradiction("a piece of large objects ends inside a chunk".into()));
        }
        self.close(&mut open).await?;
        for (object, bytes) in first {
            open = Some(self.begin(object, &bytes).await?);
            self.close(&mut open).await?;
        }
        Ok(())
    }

    async fn later_chunk(
        &mut self,
        chunk: &ObjectChunk<'_>,
        first: &mut BTreeMap<u32, Vec<u8>>,
        open: &mut Option<Place>,
    ) -> Result<(), ExportError> {
        let apart = || contradiction(format!("the bytes of large object {} are not in order", chunk.object));
        if open.as_ref().is_none_or(|place| place.object != chunk.object) {
            let bytes = first.remove(&chunk.object).ok_or_else(apart)?;
            self.close(open).await?;
            *open = Some(self.begin(chunk.object, &bytes).await?);
        }
        let place = open.as_mut().ok_or_else(apart)?;
        if chunk.offset < place.offset {
            return Err(apart());
        }
        while place.offset < chunk.offset {
            let hole = usize::try_from(chunk.offset - place.offset).unwrap_or(usize::MAX).min(ZEROS.len());
            self.chunk(&ZEROS[..hole]).await?;
            place.offset += hole as u64;
        }
        self.chunk(chunk.bytes).await?;
        place.offset += chunk.bytes.len() as u64;
        Ok(())
    }

    async fn begin(&mut self, object: u32, bytes: &[u8]) -> Result<Place, ExportError> {
        self.write(&large_object_start(self.header, object)).await?;
        self.chunk(bytes).await?;
        Ok(Place { object, offset: bytes.len() as u64 })
    }

    async fn close(&mut self, open: &mut Option<Place>) -> Result<(), ExportError> {
        match open.take() {
            Some(_) => self.write(&block_end(self.header)).await,
            None => Ok(()),
        }
    }
}

/// Position within the object that is being written.
struct Place {
    object: u32,
    offset: u64,
}
