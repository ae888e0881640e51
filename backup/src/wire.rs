//! This module connects to PostgreSQL for rows. It speaks the protocol with blocking I/O on the caller's thread.
//!
//! All other queries use sqlx. Its `copy_out_raw` returns one reference-counted buffer for each row through an asynchronous
//! stream, but rows are short and there are millions of them. Here a read of the socket fills one buffer, and its rows are
//! compacted and passed on as one block. `postgres-protocol` handles login and the messages outside COPY.
//!
//! This module must not interpret rows, retry, or start threads.

mod copy;
mod copy_in;
mod login;
mod refusal;
mod tls;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    time::Duration,
};

use bytes::BytesMut;
use postgres_protocol::message::{
    backend::{ErrorFields, Message},
    frontend,
};

use crate::config::SourceSettings;

pub use copy::CopiedRows;
pub use refusal::{described, refusal};

/// Size of one read of the socket. It makes a system call cheap per byte, and fits a core's second-level cache until the
/// compressor has read it.
const RECEIVE_BYTES: usize = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an ordinary message. A row can be larger, but is never in the buffer as a whole.
const LARGEST_MESSAGE: usize = 64 << 20;
const HEAD_BYTES: usize = 5;

/// Failure of a connection.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection to {place} failed: {source}")]
    Connect {
        place: String,
        #[source]
        source: io::Error,
    },
    #[error("the connection to the database was lost: {0}")]
    Broken(#[from] io::Error),
    #[error("the server reports: {message} (SQLSTATE {code}){hint}")]
    Server { code: String, message: String, hint: String },
    #[error("unexpected response of the server: {0}")]
    Protocol(String),
    #[error("{0}")]
    Refused(String),
}

impl WireError {
    /// The server's SQLSTATE, if it returned an error.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }
}

pub type Result<T> = std::result::Result<T, WireError>;

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

/// Ends a connection from another thread. Reads and writes on it fail at once.
#[derive(Debug)]
pub enum ConnectionBreaker {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl ConnectionBreaker {
    pub fn cut(&self) {
        // The connection may be closed already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// A row of a query result: a text for each column, `None` for null.
pub type Row = Vec<Option<String>>;
/// The same in the session's encoding, byte for byte, so that names return to the server unchanged.
pub type RawRow = Vec<Option<Vec<u8>>>;

/// An open connection. Dropping it closes it.
pub struct Connection {
    stream: Stream,
    /// Bytes `start..end` have arrived and are not parsed yet.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The server process, as reported at login.
    process: i32,
}

impl Connection {
    /// Connects and logs in. `reached` gets a handle to end the connection from another thread, before the first request: the
    /// server may never answer.
    ///
    /// # Errors
    /// Returns the server's or the network's error.
    pub fn open(source: &SourceSettings, reached: impl FnOnce(ConnectionBreaker)) -> Result<Self> {
        let failed = |error| WireError::Connect { place: source.place(), source: error };
        let stream = if source.is_socket() {
            let stream = UnixStream::connect(source.socket_path()).map_err(failed)?;
            reached(ConnectionBreaker::Unix(stream.try_clone()?));
            Stream::Unix(stream)
        } else {
            let addresses = (source.host.as_str(), source.port).to_socket_addrs().map_err(failed)?;
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
            let mut connected = None;
            for address in addresses {
                match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                    Ok(stream) => {
                        connected = Some(stream);
                        break;
                    }
                    Err(error) => last = error,
                }
            }
            let stream = connected.ok_or(last).map_err(failed)?;
            stream.set_nodelay(true)?;
            keep_alive(&stream)?;
            reached(ConnectionBreaker::Tcp(stream.try_clone()?));
            tls::negotiate(stream, source)?
        };
        let mut connection = Self { stream, buffer: vec![0; RECEIVE_BYTES], start: 0, end: 0, process: 0 };
        connection.process = login::log_in(&mut connection, source)?;
        Ok(connection)
    }

    /// The process number from the login. A pooler reports its own number.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// Runs statements, and returns the rows of all of them. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// Returns the error of the first failed statement; later ones did not run.
    pub fn query<Statements: AsRef<[u8]> + ?Sized>(&mut self, statements: &Statements) -> Result<Vec<Row>> {
        let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).into_owned());
        let rows = self.query_raw(statements)?;
        Ok(rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect())
    }

    /// The same with unchanged bytes.
    ///
    /// # Errors
    /// Returns the error of the first failed statement; later ones did not run.
    pub fn query_raw<Statements: AsRef<[u8]> + ?Sized>(&mut self, statements: &Statements) -> Result<Vec<RawRow>> {
        self.send_query(statements.as_ref())?;
        let mut rows = Vec::new();
        loop {
            match self.message()? {
                Message::DataRow(row) => rows.push(values(&row)?),
                Message::ReadyForQuery(_) => return Ok(rows),
                Message::ErrorResponse(error) => return Err(self.refused(error.fields())),
                Message::CommandComplete(_) | Message::RowDescription(_) | Message::EmptyQueryResponse => {}
                _ => return Err(WireError::Protocol("a message without a query".into())),
            }
        }
    }

    /// The first column of the only row.
    ///
    /// # Errors
    /// Returns an error also if there is no row, or if the value is null.
    pub fn query_one(&mut self, statement: &str) -> Result<String> {
        let rows = self.query(statement)?;
        let value = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        value.ok_or_else(|| WireError::Protocol("a result without a value".into()))
    }

    /// Sends a simple query. Its bytes are in the session's encoding, while `postgres-protocol` expects UTF-8.
    fn send_query(&mut self, statements: &[u8]) -> Result<()> {
        if statements.contains(&0) {
            return Err(WireError::Protocol("a statement with a zero byte".into()));
        }
        let length = i32::try_from(statements.len() + 5).map_err(|_| WireError::Protocol("a statement of 2 GiB".into()))?;
        let mut message = Vec::with_capacity(statements.len() + 6);
        message.push(b'Q');
        message.extend(length.to_be_bytes());
        message.extend_from_slice(statements);
        message.push(0);
        self.send(&message)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()?;
        Ok(())
    }

    /// The next message other than a notice or a parameter change.
    fn message(&mut self) -> Result<Message> {
        loop {
            while self.end - self.start < HEAD_BYTES {
                self.receive()?;
            }
            let length = 1 + self.announced_length()?;
            if length > LARGEST_MESSAGE {
                return Err(WireError::Protocol(format!("a message of {length} bytes")));
            }
            if length > self.buffer.len() {
                self.buffer.resize(length, 0);
            }
            while self.end - self.start < length {
                self.receive()?;
            }
            let mut frame = BytesMut::from(&self.buffer[self.start..self.start + length]);
            self.start += length;
            match Message::parse(&mut frame)? {
                None => return Err(WireError::Protocol("an incomplete message".into())),
                Some(Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_)) => {}
                Some(message) => return Ok(message),
            }
        }
    }

    /// The length in the header at `start`. It includes itself, but not the message's kind.
    fn announced_length(&self) -> Result<usize> {
        let head = &self.buffer[self.start..self.start + HEAD_BYTES];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length < 4 { Err(WireError::Protocol("a message shorter than its length".into())) } else { Ok(length) }
    }

    /// Reads once, after discarding parsed bytes to free space.
    fn receive(&mut self) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(WireError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.end += read;
        Ok(())
    }

    /// Converts the server's error. Reads on until the server is ready for the next query.
    fn refused(&mut self, fields: ErrorFields<'_>) -> WireError {
        let error = server_error(fields);
        loop {
            match self.message() {
                Ok(Message::ReadyForQuery(_)) | Err(_) => return error,
                Ok(_) => {}
            }
        }
    }
}

fn server_error(mut fields: ErrorFields<'_>) -> WireError {
    use std::fmt::Write;
    let (mut code, mut message, mut hint) = (String::new(), String::new(), String::new());
    while let Ok(Some(field)) = postgres_protocol_next(&mut fields) {
        let value = String::from_utf8_lossy(field.value_bytes());
        match field.type_() {
            b'C' => code = value.into_owned(),
            b'M' => message = value.into_owned(),
            b'H' | b'D' => {
                let _ = write!(hint, "; {value}");
            }
            _ => {}
        }
    }
    WireError::Server { code, message, hint }
}

fn postgres_protocol_next<'a>(
    fields: &mut ErrorFields<'a>,
) -> io::Result<Option<postgres_protocol::message::backend::ErrorField<'a>>> {
    fallible_iterator::FallibleIterator::next(fields)
}

fn values(row: &postgres_protocol::message::backend::DataRowBody) -> Result<RawRow> {
    use fallible_iterator::FallibleIterator;
    let buffer = row.buffer();
    Ok(row.ranges().map(|range: Option<std::ops::Range<usize>>| Ok(range.map(|range| buffer[range].to_vec()))).collect()?)
}

/// Detects a dead peer even if nothing is sent.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        // The server also detects a closed socket, but would log it.
        let _ = self.send(&message);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => stream.read(buffer),
                Self::Unix(stream) => stream.read(buffer),
                Self::Tls(stream) => stream.read(buffer),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
