//! COPY out of the server, a block at a time.

use std::time::Duration;

use postgres_protocol::message::backend::Message;
use twox_hash::xxhash3_128::Hasher;

use super::{Connection, HEAD_BYTES, RECEIVE_BYTES, Result, Stream, WireError};
use crate::checksum::RowChecksum;

const COPY_DATA: u8 = b'd';
/// A read of the socket that brought less came too early.
const WORTH_A_READ: usize = RECEIVE_BYTES / 2;
/// What a fast server sends in it fits the socket's buffer.
const REST: Duration = Duration::from_micros(500);

/// What came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopiedRows {
    pub checksum: RowChecksum,
    pub bytes: u64,
}

impl Connection {
    /// Runs statements of which the last is a `COPY … TO STDOUT`, and gives its rows to `take` as they come: each call gets
    /// whole rows, one behind the other, but for a row larger than the buffer, which comes in several calls.
    ///
    /// The rows of statements before it are compared with `expected`, in order, before the first row is taken.
    ///
    /// # Errors
    /// Also when the server counted other rows than came, or when an answer is not the expected one.
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
                            "a name leads to another relation than at the beginning ({}): somebody renames while the backup runs",
                            String::from_utf8_lossy(&found)
                        ))
                        .into());
                    }
                }
                Message::CommandComplete(_) | Message::RowDescription(_) => {}
                Message::ErrorResponse(error) => return Err(self.refused(error.fields()).into()),
                _ => return Err(WireError::Protocol("an answer to no question".into()).into()),
            }
        }
        if expected.next().is_some() {
            return Err(WireError::Protocol("fewer answers than questions".into()).into());
        }
        let mut rows = CopiedRows::default();
        self.rows(&mut rows, take)?;
        self.end_of_copy(&rows)?;
        Ok(rows)
    }

    /// Takes messages of rows up to the first message of another kind.
    ///
    /// The server sends 8 KiB at a time and wakes whoever waits for them: a reader that keeps up pays a change of threads
    /// for each. After a read that brought little it rests, and the next one brings more. Not under TLS, where a read
    /// brings one record, however many wait.
    fn rows<E: From<WireError>>(
        &mut self,
        rows: &mut CopiedRows,
        take: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut brought = WORTH_A_READ;
        loop {
            // Rows are moved together where they lie: `block..filled` are rows without their heads.
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

    /// Makes as much room as there is before it reads: half a row at the end of the buffer must not make the next read
    /// a small one.
    fn receive_row(&mut self) -> Result<usize> {
        if self.start > 0 && self.start < self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let left = self.end - self.start;
        self.receive()?;
        Ok(self.end - self.start - left)
    }

    /// A row that the buffer cannot hold, on its way.
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

    /// What follows the last row: done, the count, ready; or an error after all.
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
                _ => return Err(WireError::Protocol("an answer to no question".into())),
            }
        }
        match counted {
            Some(count) if count == rows.checksum.rows => Ok(()),
            Some(count) => Err(WireError::Protocol(format!("{} rows came, and the server counted {count}", rows.checksum.rows))),
            None => Err(WireError::Protocol("a COPY that did not say how many rows it read".into())),
        }
    }
}
