//! This module is the follower's end of a link: it connects to the leader that the head row names, sends this replica's commands
//! and questions, and passes committed batches on. It must not apply a batch.

use std::{
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use exchange_core::{
    command::{CancelReplaced, Outcome},
    order_count::OrderCount,
};
use service_kit::config::Secret;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::{broadcast::error::RecvError, mpsc, oneshot},
    time::timeout,
};

use super::{
    PATH, PING, PROTOCOL, REPLICA_HEADER, SILENCE,
    frame::{self, Frame, LinkFailure},
};
use crate::engine::{
    fingerprint,
    handle::{CommandReply, SubmitError},
    push::Push,
    shared::{LeaderAt, Shared},
};

/// Time limit for the connection and for the answer to the upgrade.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The leader first decides the commands of an earlier connection.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(12);
/// Pause after a failed attempt.
const RETRY: Duration = Duration::from_millis(50);
/// Longest head of the answer to the upgrade.
const HEAD_MAX: u64 = 8 * 1024;
/// Batches between the connection and the follower that applies them. A full channel leaves a gap, which polling fills.
pub const RECEIVED: usize = 1024;

/// Connects while another replica leads, until the engine has no owner.
pub(in crate::engine) async fn follow_leader(shared: Weak<Shared>, token: Secret, batches: mpsc::Sender<Push>) {
    let replica: u128 = rand::random();
    let mut warned = None;
    for number in 1u64.. {
        let (at, strong) = {
            let Some(strong) = shared.upgrade() else { return };
            let at = strong.leader.borrow().clone();
            (at, strong)
        };
        let Some(at) = at.filter(|_| !strong.is_leader()) else {
            let mut changes = strong.leader.subscribe();
            drop(strong);
            let _ = timeout(PING, changes.changed()).await;
            continue;
        };
        let started = Instant::now();
        let link = Link { shared: &strong, batches: &batches, number, at: &at };
        let ended = link.run(&token, replica).await;
        strong.follower.linked.set(0);
        strong.forward.set_alone(!strong.is_leader());
        if let Err(error) = ended {
            // A reason is logged once, and again after a connection that lasted.
            let reason = (at.address.clone(), error.to_string());
            if warned.as_ref() != Some(&reason) || started.elapsed() > WELCOME_TIMEOUT {
                tracing::warn!(%error, leader = at.address, "no connection to the leader; retrying");
                warned = Some(reason);
            }
        }
        drop(strong);
        tokio::time::sleep(RETRY).await;
    }
}

struct Link<'a> {
    shared: &'a Arc<Shared>,
    batches: &'a mpsc::Sender<Push>,
    /// Counts the connections of this process.
    number: u64,
    at: &'a LeaderAt,
}

impl Link<'_> {
    async fn run(&self, token: &Secret, replica: u128) -> io::Result<()> {
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.at.address)).await??;
        stream.set_nodelay(true)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::with_capacity(256 * 1024, reader);
        let head = format!(
            "GET {PATH} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: {PROTOCOL}\r\n\
             {REPLICA_HEADER}: {replica:032x}\r\n\r\n",
            self.at.address,
            token.expose()
        );
        writer.write_all(head.as_bytes()).await?;
        timeout(CONNECT_TIMEOUT, accepted(&mut reader)).await??;
        let Some(Frame::Welcome { epoch, barrier }) = timeout(WELCOME_TIMEOUT, frame::read_frame(&mut reader)).await?? else {
            return Err(io::Error::other("the leader's first frame is not its welcome"));
        };
        tracing::info!(leader = self.at.address, epoch, barrier, "connected to the leader");
        self.shared.follower.linked.set(1);
        self.shared.forward.set_alone(false);
        self.shared.lag.announce(barrier as i64);
        let (frames, received) = mpsc::channel(RECEIVED);
        let reading = tokio::spawn(async move {
            while let Ok(Ok(frame)) = timeout(SILENCE, frame::read_frame(&mut reader)).await {
                if let Some(frame) = frame
                    && frames.send(frame).await.is_err()
                {
                    break;
                }
            }
        });
        let mut asked = (0, Vec::new());
        let ended = self.exchange(writer, received, barrier, &mut asked).await;
        reading.abort();
        self.shared.questions.ask_again(asked.1);
        ended
    }

    async fn exchange(
        &self,
        mut writer: impl tokio::io::AsyncWrite + Unpin,
        mut received: mpsc::Receiver<Frame>,
        barrier: u64,
        asked: &mut (u64, Vec<oneshot::Sender<u64>>),
    ) -> io::Result<()> {
        let shared = self.shared;
        let (mut leads, mut leader) = (shared.leads.subscribe(), shared.leader.subscribe());
        let mut progress = shared.committed.read().progress();
        let fingerprints = Arc::clone(shared.committed.read().fingerprints());
        let mut reports = shared.weights.reports.subscribe();
        let mut before_barrier = true;
        let mut output = BytesMut::new();
        super::put_weights(&shared.weights.all(), &mut output);
        let mut ping = tokio::time::interval(PING);
        loop {
            self.send(&mut output, asked);
            if let Some(sequence) = fingerprints.take_accusation() {
                frame::write_frame(&Frame::Accuse { sequence }, &mut output);
            }
            if !output.is_empty() {
                timeout(SILENCE, writer.write_all_buf(&mut output)).await??;
            }
            tokio::select! {
                frame = received.recv() => {
                    let frame = frame.ok_or_else(|| io::Error::other("the leader is silent or closed the connection"))?;
                    self.receive(frame, asked);
                    while let Ok(frame) = received.try_recv() {
                        self.receive(frame, asked);
                    }
                }
                () = shared.forward.wake.notified() => {}
                () = shared.questions.wake.notified() => {}
                () = fingerprints.changed.notified() => {}
                report = reports.recv() => match report {
                    Ok(report) => super::put_weights(&report.weights, &mut output),
                    Err(RecvError::Lagged(_)) => super::put_weights(&shared.weights.all(), &mut output),
                    Err(RecvError::Closed) => return Ok(()),
                },
                reached = progress.wait_for(|sequence| *sequence >= barrier), if before_barrier => {
                    reached.map_err(io::Error::other)?;
                    before_barrier = false;
                    shared.forward.barrier_passed(self.number, shared.clock.time());
                }
                _ = leads.wait_for(|leads| *leads) => return Ok(()),
                _ = leader.wait_for(|at| at.as_ref() != Some(self.at)) => return Ok(()),
                _ = ping.tick() => frame::write_frame(&Frame::Ping, &mut output),
            }
        }
    }

    /// Frames for waiting commands and reads. One question is asked at a time; later reads wait for the next.
    fn send(&self, output: &mut BytesMut, asked: &mut (u64, Vec<oneshot::Sender<u64>>)) {
        for outgoing in self.shared.forward.outgoing(self.number) {
            let mut command = Vec::with_capacity(96);
            outgoing.command.encode(&mut command);
            let traceparent = outgoing.traceparent.unwrap_or_default();
            let (id, valid_until) = (outgoing.id, outgoing.valid_until);
            frame::write_frame(&Frame::Command { id, valid_until, traceparent, command: command.into() }, output);
        }
        if asked.1.is_empty() {
            let next = std::mem::take(&mut *self.shared.questions.next.lock());
            if !next.is_empty() {
                *asked = (asked.0 + 1, next);
                frame::write_frame(&Frame::Ask { number: asked.0 }, output);
            }
        }
    }

    fn receive(&self, received: Frame, asked: &mut (u64, Vec<oneshot::Sender<u64>>)) {
        match received {
            Frame::Batch(push) => {
                self.shared.lag.announce(push.last_sequence);
                if self.batches.try_send(push).is_err() {
                    self.shared.follower.gaps.inc();
                }
            }
            Frame::Fingerprint { form: fingerprint::FORM, fingerprint } => {
                self.shared.committed.read().fingerprints().theirs(fingerprint);
            }
            Frame::Weights(weights) => {
                self.shared.follower.weights.inc_by(weights.len() as u64);
                self.shared.weights.merge(&weights);
            }
            Frame::Refused { id, failure: LinkFailure::Submit(SubmitError::Unavailable) } => self.shared.forward.hold(id),
            Frame::Refused { id, failure: LinkFailure::Submit(error) } => self.shared.forward.answer(id, Err(error)),
            Frame::Refused { id, failure: LinkFailure::Halves { cancel, new } } => {
                let outcome = Outcome::CancelReplaced(Box::new(CancelReplaced { cancel: Err(cancel), new: new.map(Err) }));
                let (time, sequence) = {
                    let committed = self.shared.committed.read();
                    (committed.state.now(), committed.state.sequence())
                };
                let unfilled = OrderCount::default();
                self.shared.forward.answer(id, Ok(CommandReply { outcome, time, sequence, unfilled }));
            }
            Frame::Sequence { number, sequence } if number == asked.0 => {
                self.shared.lag.announce(sequence as i64);
                for waiter in asked.1.drain(..) {
                    let _ = waiter.send(sequence);
                }
            }
            _ => {}
        }
    }
}

/// Reads the head of the answer to the upgrade.
async fn accepted(reader: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<()> {
    use tokio::io::AsyncReadExt;
    let mut status = String::new();
    let mut head = reader.take(HEAD_MAX);
    head.read_line(&mut status).await?;
    if !status.starts_with("HTTP/1.1 101 ") {
        return Err(io::Error::other(format!("the leader answered {:?} to the upgrade", status.trim())));
    }
    loop {
        let mut line = String::new();
        if head.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            return Ok(());
        }
    }
}
