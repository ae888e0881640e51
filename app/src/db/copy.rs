//! This module encodes rows in the binary format of COPY, the cheapest way into a table. It must not know a table.
//!
//! <https://www.postgresql.org/docs/15/sql-copy.html#id-1.9.3.55.9.4>

use crate::db::numeric::Numeric;
use exchange_core::money::Amount;
use sqlx::PgConnection;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// No flags, no header extension.
const HEADER: [u8; 8] = [0; 8];
const TRAILER: [u8; 2] = [0xff; 2];

/// Rows of one table. [`CopyRows::row`] starts a row; the fields follow in the order of the columns.
#[derive(Debug, Default)]
pub struct CopyRows {
    bytes: Vec<u8>,
    rows: u64,
}

impl CopyRows {
    pub fn row(&mut self, columns: i16) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(SIGNATURE);
            self.bytes.extend_from_slice(&HEADER);
        }
        self.rows += 1;
        self.bytes.extend_from_slice(&columns.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.fixed(value.to_be_bytes());
    }

    /// Ids and sequences: below 2⁶³ in any realistic lifetime.
    pub fn id(&mut self, value: u64) {
        self.i64(value as i64);
    }

    pub fn i32(&mut self, value: i32) {
        self.fixed(value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.fixed(value.to_be_bytes());
    }

    pub fn bool(&mut self, value: bool) {
        self.fixed([u8::from(value)]);
    }

    pub fn text(&mut self, value: &str) {
        self.bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
    }

    pub fn numeric(&mut self, value: Amount) {
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        Numeric(value).write(&mut self.bytes);
        let length = (self.bytes.len() - length_at - 4) as i32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
    }

    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Sends the rows through `statement`, a `COPY … FROM STDIN WITH (FORMAT binary)`. Sends nothing if there are no rows.
    pub async fn send(mut self, connection: &mut PgConnection, statement: &str) -> sqlx::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.bytes.extend_from_slice(&TRAILER);
        let mut copy = connection.copy_in_raw(statement).await?;
        if let Err(error) = copy.send(self.bytes).await {
            // The connection is in the middle of a COPY: return the first error, not the one of the abort.
            let _ = copy.abort("failed to send the rows").await;
            return Err(error);
        }
        copy.finish().await?;
        Ok(())
    }

    fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes.extend_from_slice(&(N as i32).to_be_bytes());
        self.bytes.extend_from_slice(&bytes);
    }
}
