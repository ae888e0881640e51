//! This module is the connection between a follower and the leader: one upgraded connection of the internal listener, with frames
//! in both directions.
//!
//! - The follower connects, and authenticates as every client of the internal listener does.
//! - It sends commands, and questions for the committed sequence. The leader sends committed batches, refusals and sequences.
//! - An executed command has no frame: its batch contains its id.

pub mod client;
mod frame;
pub mod server;

use std::time::Duration;

use bytes::BytesMut;

use super::weights::AddressWeight;

/// Path of the internal listener.
const PATH: &str = "/link";
/// Value of the Upgrade header; it changes with an incompatible change of the frames.
const PROTOCOL: &str = "exchange-link/1";
/// Header with the follower's identity, 32 hexadecimal digits: a new connection ends its earlier one.
const REPLICA_HEADER: &str = "x-exchange-replica";
/// Interval at which each end sends something.
const PING: Duration = Duration::from_millis(200);
/// Silence after which an end counts as lost: a paused leader must not hold its followers.
const SILENCE: Duration = Duration::from_millis(1500);

/// Appends the weights, in frames of a bounded length.
fn put_weights(weights: &[AddressWeight], output: &mut BytesMut) {
    for chunk in weights.chunks(frame::WEIGHTS_MAX) {
        frame::write_frame(&frame::Frame::Weights(chunk.to_vec()), output);
    }
}
