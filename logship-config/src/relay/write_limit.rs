//! This module ends a connection whose client accepts no byte of an answer for too long.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] if they make no progress within a limit.
pub struct WriteLimit<Stream> {
    stream: Stream,
    limit: Duration,
    /// The end of the current wait.
    end: Option<Pin<Box<Sleep>>>,
}

impl<Stream> WriteLimit<Stream> {
    pub fn new(stream: Stream, limit: Duration) -> Self {
        Self { stream, limit, end: None }
    }

    fn limited<Done>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<Done>>) -> Poll<io::Result<Done>> {
        if poll.is_ready() {
            self.end = None;
            return poll;
        }
        let limit = self.limit;
        let end = self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        end.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<Stream: AsyncRead + Unpin> AsyncRead for WriteLimit<Stream> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<Stream: AsyncWrite + Unpin> AsyncWrite for WriteLimit<Stream> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.limited(context, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.limited(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_flush(context);
        this.limited(context, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_shutdown(context);
        this.limited(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_client_that_reads_nothing_ends_the_connection() {
        let (server, mut client) = tokio::io::duplex(8);
        let mut limited = WriteLimit::new(server, Duration::from_millis(50));
        limited.write_all(b"12345678").await.unwrap();
        let ended = limited.write_all(b"more").await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        // Each byte that is read begins another wait.
        let mut read = [0; 8];
        client.read_exact(&mut read).await.unwrap();
        limited.write_all(b"again").await.unwrap();
    }
}
