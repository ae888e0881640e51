//! This module copies rows out of the server, one block at a time.

use std::time::Duration;

use postgres_protocol::message::backend::Message;
use twox_hash::xxhash3_128::Hasher;

use super::{Connection, HEAD_BYTES, RECEIVE_BYTES, Result, Stream, WireError};
use crate::checksum::RowChecksum;

const COPY_DATA: u8 = b'd';
/// A read of the socket that returns less came too early.
const WORTH_A_READ: usize = RECEIVE_BYTES / 2;
/// The socket's buffer can hold the data that a fast server sends in this time.
const REST: Duration = Duration::from_micros(500);

/// Result of a COPY.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopiedRows {
    pub checksum: RowChecksum,
    pub bytes: u64,
}

impl Connection {
    /// Runs statements of which the last is a `COPY … TO STDOUT`, and passes its rows to `take` as they arrive. Each call gets
    /// complete consecutive rows, except for a row larger than the buffer, which comes in several calls.
    ///
    /// The rows of the statements before it are compared with `expected`, in order, before the first row is passed on.
    ///
    /// # Errors
    /// Returns an error also if the server counted a different number of rows, or if a response is not the expected one.
    pub fn copy_out<E: From<WireError>>(
        &mut self,
        statements: &[u8],
        expected: &[&str],
        take: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<CopiedRows, E> {
        self.send_query(statements)?;
        let mut expected = expected.iter();
        loop {
            match self.message()? {
                Message::CopyOutResponse(_) => break,
                Message::DataRow(row) => {
                    let found = super::values(&row)?.into_iter().next().flatten().unwrap_or_default();
                    if expected.next().is_some_and(|expected| expected.as_bytes() != found) {
                        return Err(WireError::Refused(format!(
                            "a name refers to another relation than at the start ({}): a relation was renamed during the backup; run again",
                            String::from_utf8_lossy(&found)
                        ))
                        .into());
                    }
                }
                Message::CommandComplete(_) | Message::RowDescription(_) => {}
                Message::ErrorResponse(error) => return Err(self.refused(error.fields()).into()),
                _ => return Err(WireError::Protocol("a message without a query".into()).into()),
            }
        }
        if expected.next().is_some() {
            return Err(WireError::Protocol("fewer results than queries".into()).into());
        }
        let mut rows = CopiedRows::default();
        self.rows(&mut rows, take)?;
        self.end_of_copy(&rows)?;
        Ok(rows)
    }

    /// Processes messages of rows up to the first message of another kind.
    ///
    /// The server sends 8 KiB at a time and wakes the reader. A reader that keeps up pays a context switch for each. After a
    /// small read it therefore sleeps, and the next read returns more. It does not do so under TLS, where a read returns one
    /// record, however many are waiting.
    fn rows<E: From<WireError>>(
        &mut self,
        rows: &mut CopiedRows,
        take: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut brought = WORTH_A_READ;
        loop {
            // Rows are compacted in the buffer: `block..filled` contains rows without their headers.
            let (block, mut filled) = (self.start, self.start);
            let mut ended = false;
            while self.end - self.start >= HEAD_BYTES {
                if self.buffer[self.start] != COPY_DATA {
                    ended = true;
                    break;
                }
                let length = self.announced_length()? - 4;
                let (from, to) = (self.start + HEAD_BYTES, self.start + HEAD_BYTES + length);
                if to > self.end {
                    break;
                }
                rows.checksum.add(&self.buffer[from..to]);
                self.buffer.copy_within(from..to, filled);
                filled += length;
                self.start = to;
            }
            if filled > block {
                rows.bytes += (filled - block) as u64;
                take(&self.buffer[block..filled])?;
            }
            if ended {
                return Ok(());
            }
            if self.end - self.start >= HEAD_BYTES && self.announced_length()? + 1 > self.buffer.len() {
                self.large_row(rows, take)?;
                continue;
            }
            if brought < WORTH_A_READ && !matches!(self.stream, Stream::Tls(_)) {
                std::thread::sleep(REST);
            }
            brought = self.receive_row()?;
        }
    }

    /// Frees as much space as possible before it reads. Otherwise a partial row at the end of the buffer would make the next read
    /// small.
    fn receive_row(&mut self) -> Result<usize> {
        if self.start > 0 && self.start < self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let left = self.end - self.start;
        self.receive()?;
        Ok(self.end - self.start - left)
    }

    /// Passes on a row that is larger than the buffer, in pieces.
    fn large_row<E: From<WireError>>(
        &mut self,
        rows: &mut CopiedRows,
        take: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut left = self.announced_length()? - 4;
        self.start += HEAD_BYTES;
        let mut hasher = Hasher::new();
        rows.bytes += left as u64;
        while left > 0 {
            if self.start == self.end {
                self.receive()?;
            }
            let now = left.min(self.end - self.start);
            let stretch = &self.buffer[self.start..self.start + now];
            hasher.write(stretch);
            take(stretch)?;
            self.start += now;
            left -= now;
        }
        rows.checksum.add_hash(hasher.finish_128());
        Ok(())
    }

    /// Reads the end of a COPY: done, the count, ready; or an error.
    fn end_of_copy(&mut self, rows: &CopiedRows) -> Result<()> {
        let mut counted = None;
        loop {
            match self.message()? {
                Message::CopyDone => {}
                Message::CommandComplete(tag) => {
                    counted = tag.tag()?.strip_prefix("COPY ").and_then(|count| count.parse::<u64>().ok());
                }
                Message::ReadyForQuery(_) => break,
                Message::ErrorResponse(error) => return Err(self.refused(error.fields())),
                _ => return Err(WireError::Protocol("a message without a query".into())),
            }
        }
        match counted {
            Some(count) if count == rows.checksum.rows => Ok(()),
            Some(count) => {
                Err(WireError::Protocol(format!("{} rows arrived, but the server counted {count}", rows.checksum.rows)))
            }
            None => Err(WireError::Protocol("the result of COPY has no number of rows".into())),
        }
    }
}
