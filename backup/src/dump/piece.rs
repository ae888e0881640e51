//! This module writes what one COPY returns as a piece of a stream, and defines how that can fail.

use std::io;

use crate::{
    encode::{EncodedObject, ObjectEncoder, StreamEncoder},
    failure::{Exit, Failure, Stage},
    manifest::Piece,
    upload::UploadStream,
    wire::WireError,
};

/// Failures between the server and the stream.
#[derive(Debug)]
pub(super) enum CopyError {
    /// Another worker failed, so this one's work is useless.
    InVain,
    Wire(WireError),
    Sink(io::Error),
}

impl From<WireError> for CopyError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Sink(error)
    }
}

impl CopyError {
    pub fn failure(self, stage: Stage) -> Failure {
        match self {
            Self::InVain => Failure::told(stage, Exit::Failed, "another session that read this database failed"),
            Self::Wire(error) => Failure::wire(stage, error),
            Self::Sink(error) => Failure { whole: true, ..Failure::new(stage, Exit::Failed, error) },
        }
    }
}

/// Begins a piece with its first byte, so that empty input leaves no piece.
pub(super) struct Writing<'a> {
    lane: u32,
    offset: u64,
    state: State<'a>,
}

enum State<'a> {
    Empty(Option<(&'a mut StreamEncoder, &'a mut UploadStream)>),
    Begun(ObjectEncoder<'a, &'a mut UploadStream>),
}

impl<'a> Writing<'a> {
    pub fn new(encoder: &'a mut StreamEncoder, lane: &'a mut UploadStream) -> Self {
        Self { lane: lane.number, offset: lane.offset(), state: State::Empty(Some((encoder, lane))) }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let State::Empty(begin) = &mut self.state
            && let Some((encoder, lane)) = begin.take()
        {
            self.state = State::Begun(encoder.begin(lane)?);
        }
        match &mut self.state {
            State::Begun(encoding) => encoding.write(bytes),
            State::Empty(_) => Err(io::Error::other("the piece was not started")),
        }
    }

    pub fn finish(self, rows: u64) -> io::Result<Option<Piece>> {
        let State::Begun(encoding) = self.state else { return Ok(None) };
        let (_, EncodedObject { raw_bytes, bytes, sha256 }) = encoding.finish()?;
        Ok(Some(Piece { lane: self.lane, offset: self.offset, bytes, sha256, raw_bytes, rows }))
    }
}
