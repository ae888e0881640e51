//! This module reads and writes the frames of a link: length (4 bytes), kind (1 byte), fields. It must not interpret them.
//!
//! - A reader ignores a kind that it does not know, so that a later release may add one.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use exchange_core::{ByteDecoder, ByteEncoder, money::Time, refusal::Refusal};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    address_key::AddressKey,
    chain::Chain,
    engine::{TooManyOrders, fingerprint::Fingerprint, handle::SubmitError, push::Push, weights::AddressWeight},
};

/// Longest frame. A longer batch is not pushed: followers read it from the journal.
pub(super) const FRAME_MAX: usize = 16 << 20;

mod kind {
    pub const COMMAND: u8 = 1;
    pub const ASK: u8 = 2;
    pub const PING: u8 = 3;
    pub const ACCUSE: u8 = 4;
    pub const WEIGHTS: u8 = 5;
    pub const WELCOME: u8 = 16;
    pub const BATCH: u8 = 17;
    pub const REFUSED: u8 = 18;
    pub const SEQUENCE: u8 = 19;
    pub const FINGERPRINT: u8 = 20;
}

mod failure {
    pub const REFUSED: u8 = 1;
    pub const BUSY: u8 = 2;
    pub const UNAVAILABLE: u8 = 3;
    pub const UNKNOWN: u8 = 4;
    pub const EXPIRED: u8 = 5;
    pub const HALVES: u8 = 6;
    pub const TOO_MANY_ORDERS: u8 = 7;
}

/// One frame.
#[derive(Debug)]
pub(super) enum Frame {
    /// Follower: decide this command.
    Command {
        id: u128,
        valid_until: Option<Time>,
        traceparent: String,
        command: Bytes,
    },
    /// Follower: which sequence is committed?
    Ask {
        number: u64,
    },
    Ping,
    /// Follower: the leader's state at `sequence` differs from the journal.
    Accuse {
        sequence: u64,
    },
    /// Both: request weights of client addresses.
    Weights(Vec<AddressWeight>),
    /// Leader: everything that the follower's earlier connections executed is in the journal up to `barrier`.
    Welcome {
        epoch: i64,
        barrier: u64,
    },
    /// Leader: a committed batch.
    Batch(Push),
    /// Leader: the command left no event.
    Refused {
        id: u128,
        failure: LinkFailure,
    },
    /// Leader: the answer to [`Frame::Ask`].
    Sequence {
        number: u64,
        sequence: u64,
    },
    /// Leader: hash of a window of the state, in this form.
    Fingerprint {
        form: u32,
        fingerprint: Fingerprint,
    },
}

/// Why a command left no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkFailure {
    Submit(SubmitError),
    /// A cancel-replace of which neither half was executed.
    Halves {
        cancel: Refusal,
        new: Option<Refusal>,
    },
}

/// Appends `frame` to `out`.
pub(super) fn write_frame(frame: &Frame, out: &mut BytesMut) {
    let start = out.len();
    out.put_u32(0);
    match frame {
        Frame::Command { id, valid_until, traceparent, command } => {
            out.put_u8(kind::COMMAND);
            out.put_u128(*id);
            out.put_i64(valid_until.unwrap_or(Time::MIN));
            out.put_u8(traceparent.len().min(255) as u8);
            out.put_slice(&traceparent.as_bytes()[..traceparent.len().min(255)]);
            out.put_slice(command);
        }
        Frame::Ask { number } => {
            out.put_u8(kind::ASK);
            out.put_u64(*number);
        }
        Frame::Ping => out.put_u8(kind::PING),
        Frame::Accuse { sequence } => {
            out.put_u8(kind::ACCUSE);
            out.put_u64(*sequence);
        }
        Frame::Weights(weights) => {
            out.put_u8(kind::WEIGHTS);
            weights.iter().for_each(|weight| put_weight(weight, out));
        }
        Frame::Fingerprint { form, fingerprint } => {
            out.put_u8(kind::FINGERPRINT);
            out.put_u32(*form);
            out.put_u64(fingerprint.sequence);
            out.put_u64(fingerprint.hash);
        }
        Frame::Welcome { epoch, barrier } => {
            out.put_u8(kind::WELCOME);
            out.put_i64(*epoch);
            out.put_u64(*barrier);
        }
        Frame::Batch(push) => {
            out.put_u8(kind::BATCH);
            out.put_i64(push.first_sequence);
            out.put_i64(push.last_sequence);
            out.put_i64(push.epoch);
            out.put_u32(push.checksum);
            out.put_u8(u8::from(push.before.is_some()));
            push.before.iter().for_each(|chain| out.put_slice(chain.bytes()));
            out.put_slice(&push.payload);
        }
        Frame::Refused { id, failure } => {
            out.put_u8(kind::REFUSED);
            out.put_u128(*id);
            put_failure(failure, out);
        }
        Frame::Sequence { number, sequence } => {
            out.put_u8(kind::SEQUENCE);
            out.put_u64(*number);
            out.put_u64(*sequence);
        }
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Length of a weight on the wire.
const WEIGHT_BYTES: usize = 16 + 8 + 8 + 4 + 8;
/// Weights in one frame.
pub(super) const WEIGHTS_MAX: usize = 16_384;

fn put_weight(weight: &AddressWeight, out: &mut BytesMut) {
    out.put_u128(weight.address.to_bits());
    out.put_u64(weight.origin);
    out.put_i64(weight.minute);
    out.put_u32(weight.used);
    out.put_i64(weight.banned_until);
}

fn weights_of(mut body: Bytes) -> io::Result<Vec<AddressWeight>> {
    if !body.len().is_multiple_of(WEIGHT_BYTES) {
        return Err(malformed(format!("weights of {} bytes", body.len())));
    }
    let mut weights = Vec::with_capacity(body.len() / WEIGHT_BYTES);
    while body.has_remaining() {
        weights.push(AddressWeight {
            address: AddressKey::from_bits(body.get_u128()),
            origin: body.get_u64(),
            minute: body.get_i64(),
            used: body.get_u32(),
            banned_until: body.get_i64(),
        });
    }
    Ok(weights)
}

fn put_failure(failure: &LinkFailure, out: &mut BytesMut) {
    let mut refusals = Vec::new();
    let mut refusal = |refusal: &Refusal| refusal.encode(&mut ByteEncoder(&mut refusals));
    let kind = match failure {
        LinkFailure::Submit(SubmitError::Refused(reason)) => {
            refusal(reason);
            failure::REFUSED
        }
        LinkFailure::Submit(SubmitError::Busy) => failure::BUSY,
        LinkFailure::Submit(SubmitError::Unavailable) => failure::UNAVAILABLE,
        LinkFailure::Submit(SubmitError::Unknown) => failure::UNKNOWN,
        LinkFailure::Submit(SubmitError::Expired) => failure::EXPIRED,
        LinkFailure::Submit(SubmitError::TooManyOrders(TooManyOrders { limit, of_day, retry_after })) => {
            out.put_u8(failure::TOO_MANY_ORDERS);
            out.put_u32(*limit);
            out.put_u8(u8::from(*of_day));
            out.put_u32(*retry_after);
            return;
        }
        LinkFailure::Halves { cancel, new } => {
            refusal(cancel);
            new.iter().for_each(&mut refusal);
            failure::HALVES
        }
    };
    out.put_u8(kind);
    out.put_slice(&refusals);
}

/// Reads the next frame; `None` for an unknown kind.
///
/// # Errors
///
/// Returns an error at the end of the stream and for malformed bytes.
pub(super) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Frame>> {
    let length = stream.read_u32().await? as usize;
    if length == 0 || length > FRAME_MAX {
        return Err(malformed(format!("a frame of {length} bytes")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    parse(body.into())
}

fn parse(mut body: Bytes) -> io::Result<Option<Frame>> {
    let short = |error: bytes::TryGetError| malformed(error.to_string());
    Ok(Some(match body.try_get_u8().map_err(short)? {
        kind::COMMAND => {
            let id = body.try_get_u128().map_err(short)?;
            let valid_until = Some(body.try_get_i64().map_err(short)?).filter(|until| *until != Time::MIN);
            let length = usize::from(body.try_get_u8().map_err(short)?);
            if body.len() < length {
                return Err(malformed("a truncated command".into()));
            }
            let traceparent = String::from_utf8_lossy(&body.split_to(length)).into_owned();
            Frame::Command { id, valid_until, traceparent, command: body }
        }
        kind::ASK => Frame::Ask { number: body.try_get_u64().map_err(short)? },
        kind::PING => Frame::Ping,
        kind::ACCUSE => Frame::Accuse { sequence: body.try_get_u64().map_err(short)? },
        kind::WEIGHTS => Frame::Weights(weights_of(body)?),
        kind::FINGERPRINT => {
            let form = body.try_get_u32().map_err(short)?;
            let sequence = body.try_get_u64().map_err(short)?;
            Frame::Fingerprint { form, fingerprint: Fingerprint { sequence, hash: body.try_get_u64().map_err(short)? } }
        }
        kind::WELCOME => {
            Frame::Welcome { epoch: body.try_get_i64().map_err(short)?, barrier: body.try_get_u64().map_err(short)? }
        }
        kind::BATCH => {
            let first_sequence = body.try_get_i64().map_err(short)?;
            let last_sequence = body.try_get_i64().map_err(short)?;
            let epoch = body.try_get_i64().map_err(short)?;
            let checksum = body.try_get_u32().map_err(short)?;
            let before = match body.try_get_u8().map_err(short)? {
                0 => None,
                _ if body.len() < Chain::BYTES => return Err(malformed("a truncated batch".into())),
                _ => Chain::from_slice(&body.split_to(Chain::BYTES)),
            };
            Frame::Batch(Push { first_sequence, last_sequence, epoch, checksum, before, payload: body })
        }
        kind::REFUSED => Frame::Refused { id: body.try_get_u128().map_err(short)?, failure: failure_of(&body)? },
        kind::SEQUENCE => {
            Frame::Sequence { number: body.try_get_u64().map_err(short)?, sequence: body.try_get_u64().map_err(short)? }
        }
        _ => return Ok(None),
    }))
}

fn failure_of(bytes: &[u8]) -> io::Result<LinkFailure> {
    let mut r = ByteDecoder::new(bytes);
    let unreadable = |error: exchange_core::DecodeError| malformed(error.to_string());
    Ok(match r.u8().map_err(unreadable)? {
        failure::REFUSED => LinkFailure::Submit(SubmitError::Refused(Refusal::decode(&mut r).map_err(unreadable)?)),
        failure::BUSY => LinkFailure::Submit(SubmitError::Busy),
        failure::UNAVAILABLE => LinkFailure::Submit(SubmitError::Unavailable),
        failure::EXPIRED => LinkFailure::Submit(SubmitError::Expired),
        failure::TOO_MANY_ORDERS => {
            let mut fields = &bytes[1..];
            let short = |error: bytes::TryGetError| malformed(error.to_string());
            let limit = fields.try_get_u32().map_err(short)?;
            let of_day = fields.try_get_u8().map_err(short)? != 0;
            let retry_after = fields.try_get_u32().map_err(short)?;
            LinkFailure::Submit(SubmitError::TooManyOrders(TooManyOrders { limit, of_day, retry_after }))
        }
        failure::HALVES => {
            let cancel = Refusal::decode(&mut r).map_err(unreadable)?;
            let new = if r.is_empty() { None } else { Some(Refusal::decode(&mut r).map_err(unreadable)?) };
            LinkFailure::Halves { cancel, new }
        }
        // A later release may have more reasons: the outcome is unknown here.
        _ => LinkFailure::Submit(SubmitError::Unknown),
    })
}

fn malformed(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> Vec<Frame> {
        let weight = |address: &str| AddressWeight {
            address: AddressKey::new(address.parse().unwrap()),
            origin: 7,
            minute: 60_000_000,
            used: 9,
            banned_until: -1,
        };
        let refused = |failure| Frame::Refused { id: 9, failure };
        let push = |before| Push {
            first_sequence: 5,
            last_sequence: 7,
            epoch: 3,
            checksum: 0xdead_beef,
            before,
            payload: Bytes::from_static(b"events"),
        };
        vec![
            Frame::Command { id: u128::MAX, valid_until: None, traceparent: String::new(), command: Bytes::new() },
            Frame::Command {
                id: 1,
                valid_until: Some(-7),
                traceparent: "00-a-b-01".into(),
                command: Bytes::from_static(b"\x01"),
            },
            Frame::Ask { number: 1 },
            Frame::Ping,
            Frame::Welcome { epoch: 4, barrier: u64::MAX },
            Frame::Batch(push(None)),
            Frame::Batch(push(Some(Chain::GENESIS))),
            refused(LinkFailure::Submit(SubmitError::Refused(Refusal::Invalid("why".into())))),
            refused(LinkFailure::Submit(SubmitError::Busy)),
            refused(LinkFailure::Submit(SubmitError::Unavailable)),
            refused(LinkFailure::Submit(SubmitError::Unknown)),
            refused(LinkFailure::Submit(SubmitError::Expired)),
            refused(LinkFailure::Submit(SubmitError::TooManyOrders(TooManyOrders { limit: 5, of_day: true, retry_after: 7 }))),
            refused(LinkFailure::Halves { cancel: Refusal::UnknownOrder, new: None }),
            refused(LinkFailure::Halves { cancel: Refusal::UnknownOrder, new: Some(Refusal::InsufficientBalance) }),
            Frame::Sequence { number: 1, sequence: 2 },
            Frame::Accuse { sequence: 4 },
            Frame::Fingerprint { form: 1, fingerprint: Fingerprint { sequence: 3, hash: u64::MAX } },
            Frame::Weights(Vec::new()),
            Frame::Weights(vec![weight("203.0.113.7"), weight("2001:db8::")]),
        ]
    }

    #[tokio::test]
    async fn every_frame_is_read_as_it_was_written() {
        let mut bytes = BytesMut::new();
        // An unknown kind in between is ignored.
        bytes.put_slice(&[0, 0, 0, 2, 250, 1]);
        frames().iter().for_each(|frame| write_frame(frame, &mut bytes));
        let mut stream = bytes.as_ref();
        assert!(read_frame(&mut stream).await.unwrap().is_none());
        for frame in frames() {
            let read = read_frame(&mut stream).await.unwrap().unwrap();
            assert_eq!(format!("{read:?}"), format!("{frame:?}"));
        }
        assert!(read_frame(&mut stream).await.is_err(), "the end of the stream");
        assert!(read_frame(&mut [0xff; 8].as_slice()).await.is_err(), "an oversized frame");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_refused(bytes: Vec<u8>) {
            let _ = parse(bytes.into());
        }
    }
}
