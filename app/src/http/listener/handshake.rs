//! This module stops the start of TCP connections on a listening socket, before the socket closes.
//!
//! The kernel completes a handshake before the program accepts the connection. When a listening socket closes, the kernel resets
//! the connections that were not accepted. A proxy may have sent a POST on one of them, and never sends it again.

use std::io;

use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;

/// Offset of the flags in a TCP header, and the flags (RFC 9293, section 3.1).
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// Classic BPF (bpf(4)): drops a segment with SYN and without ACK, and passes every other one.
const NO_NEW_CONNECTION: [SockFilter; 5] = [
    // A = the flags' byte
    SockFilter::new(0x30, 0, 0, FLAGS),
    // A &= SYN | ACK
    SockFilter::new(0x54, 0, 0, SYN | ACK),
    // if A == SYN: the next instruction, otherwise the one after it
    SockFilter::new(0x15, 0, 1, SYN),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Ignores new connections from now on. A handshake in progress still completes. The peer sends its SYN again after a second, when
/// the port is closed and refuses it.
pub fn ignore_new(listener: &TcpListener) -> io::Result<()> {
    SockRef::from(listener).attach_filter(&NO_NEW_CONNECTION)
}
