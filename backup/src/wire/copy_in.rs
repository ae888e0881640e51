//! This module copies rows into the server.

use postgres_protocol::message::backend::Message;

use super::{Connection, Result, WireError};

/// Header of a message: its kind, and a length that includes itself.
const COPY_DATA: u8 = b'd';
const COPY_DONE: [u8; 5] = [b'c', 0, 0, 0, 4];

impl Connection {
    /// Starts a `COPY … FROM STDIN`. [`Self::copy_row_bytes`] then sends its rows.
    ///
    /// # Errors
    /// Returns the server's error; the connection remains usable.
    pub fn begin_copy_in(&mut self, statement: &[u8]) -> Result<()> {
        self.send_query(statement)?;
        loop {
            match self.message()? {
                Message::CopyInResponse(_) => return Ok(()),
                Message::CommandComplete(_) => {}
                Message::ErrorResponse(error) => return Err(self.refused(error.fields())),
                _ => return Err(WireError::Protocol("a message that does not belong to COPY".into())),
            }
        }
    }

    /// Sends bytes of rows. The server finds the borders of the rows.
    ///
    /// # Errors
    /// Returns an error if the connection was lost. [`Self::end_copy_in`] returns the server's refusal.
    pub fn copy_row_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len() + 4).map_err(|_| WireError::Protocol("4 GiB of rows at once".into()))?;
        let mut head = [COPY_DATA, 0, 0, 0, 0];
        head[1..].copy_from_slice(&length.to_be_bytes());
        std::io::Write::write_all(&mut self.stream, &head)?;
        self.send(bytes)
    }

    /// Ends the COPY, and returns the server's number of rows.
    ///
    /// # Errors
    /// Returns the server's reason for refusing a row.
    pub fn end_copy_in(&mut self) -> Result<u64> {
        self.send(&COPY_DONE)?;
        let mut counted = None;
        loop {
            match self.message()? {
                Message::CommandComplete(tag) => counted = tag.tag()?.strip_prefix("COPY ").and_then(|count| count.parse().ok()),
                Message::ReadyForQuery(_) => break,
                Message::ErrorResponse(error) => return Err(self.refused(error.fields())),
                _ => return Err(WireError::Protocol("a message without a query".into())),
            }
        }
        counted.ok_or_else(|| WireError::Protocol("the result of COPY has no number of rows".into()))
    }
}
