//! COPY into the server.

use postgres_protocol::message::backend::Message;

use super::{Connection, Result, WireError};

/// Head of a message: its kind, and a length that counts itself.
const COPY_DATA: u8 = b'd';
const COPY_DONE: [u8; 5] = [b'c', 0, 0, 0, 4];

impl Connection {
    /// Runs a `COPY … FROM STDIN`: rows go to [`Self::copy_row_bytes`] from here on.
    ///
    /// # Errors
    /// With the server's reason; the connection can be used again then.
    pub fn begin_copy_in(&mut self, statement: &[u8]) -> Result<()> {
        self.send_query(statement)?;
        loop {
            match self.message()? {
                Message::CopyInResponse(_) => return Ok(()),
                Message::CommandComplete(_) => {}
                Message::ErrorResponse(error) => return Err(self.refused(error.fields())),
                _ => return Err(WireError::Protocol("an answer other than one to COPY".into())),
            }
        }
    }

    /// Bytes of rows; their borders are the server's to find.
    ///
    /// # Errors
    /// When the connection broke. What the server refuses is said by [`Self::end_copy_in`].
    pub fn copy_row_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len() + 4).map_err(|_| WireError::Protocol("4 GiB of rows at once".into()))?;
        let mut head = [COPY_DATA, 0, 0, 0, 0];
        head[1..].copy_from_slice(&length.to_be_bytes());
        std::io::Write::write_all(&mut self.stream, &head)?;
        self.send(bytes)
    }

    /// Ends the COPY; how many rows the server counted.
    ///
    /// # Errors
    /// With the reason that it refused a row for.
    pub fn end_copy_in(&mut self) -> Result<u64> {
        self.send(&COPY_DONE)?;
        let mut counted = None;
        loop {
            match self.message()? {
                Message::CommandComplete(tag) => counted = tag.tag()?.strip_prefix("COPY ").and_then(|count| count.parse().ok()),
                Message::ReadyForQuery(_) => break,
                Message::ErrorResponse(error) => return Err(self.refused(error.fields())),
                _ => return Err(WireError::Protocol("an answer to no question".into())),
            }
        }
        counted.ok_or_else(|| WireError::Protocol("a COPY that did not say how many rows it wrote".into()))
    }
}
