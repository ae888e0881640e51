//! This module is the leader's end of a link: it queues a follower's commands and pushes committed batches. It must not decide.

use std::{
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::{Bytes, BytesMut};
use exchange_core::command::{Command, Outcome};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, BufReader},
    sync::{broadcast, mpsc},
    time::timeout,
};
use tracing::Instrument;

use super::{
    PATH, PING, PROTOCOL, REPLICA_HEADER, SILENCE,
    frame::{self, FRAME_MAX, Frame, LinkFailure},
};
use crate::engine::{
    Engine,
    fingerprint::{FORM, Fingerprint},
    handle::{CommandReply, CommandResult, SubmitError},
    registry::{Drained, ReplicaLink},
    shared::Shared,
    weights::WeightReport,
};

/// Frames between a connection's reader and its task.
const RECEIVED: usize = 256;
/// A follower that does not read for this long is disconnected: it reads the journal instead.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The route of the internal listener.
pub fn routes(engine: &Engine) -> Router {
    Router::new().route(PATH, get(open)).with_state(Arc::clone(&engine.shared))
}

async fn open(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let Some(replica) = identity(request.headers()) else {
        let text = format!("set Upgrade: {PROTOCOL} and {REPLICA_HEADER}: 32 hexadecimal digits\n");
        return (StatusCode::UPGRADE_REQUIRED, text).into_response();
    };
    if !shared.is_leader() {
        return (StatusCode::SERVICE_UNAVAILABLE, "this server does not lead\n").into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(&shared, replica, upgraded).await,
            Err(error) => tracing::debug!(%error, "a follower's connection ended before its upgrade"),
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, "upgrade"), (header::UPGRADE, PROTOCOL)]).into_response()
}

fn identity(headers: &HeaderMap) -> Option<u128> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text(header::UPGRADE.as_str()).filter(|protocol| *protocol == PROTOCOL)?;
    u128::from_str_radix(text(REPLICA_HEADER)?, 16).ok()
}

async fn serve(shared: &Arc<Shared>, replica: u128, stream: hyper::upgrade::Upgraded) {
    let Some(link) = shared.links.enter(replica).await else {
        tracing::warn!(replica, "refused a follower's connection because a command of its earlier one is in doubt");
        return;
    };
    shared.follower.followers.inc();
    let (reader, writer) = tokio::io::split(TokioIo::new(stream));
    let (frames, received) = mpsc::channel(RECEIVED);
    let reading = tokio::spawn(async move {
        let mut reader = BufReader::with_capacity(64 * 1024, reader);
        while let Ok(Ok(frame)) = timeout(SILENCE, frame::read_frame(&mut reader)).await {
            if let Some(frame) = frame
                && frames.send(frame).await.is_err()
            {
                break;
            }
        }
    });
    let mut session = LinkSession {
        shared,
        link: Arc::clone(&link),
        replica,
        pushes: shared.pushes.subscribe(),
        reports: shared.weights.reports.subscribe(),
        received,
        waiting: FuturesUnordered::new(),
        asked: None,
        output: BytesMut::new(),
        drained: Drained::Decided,
    };
    let ended = session.run(writer).await;
    reading.abort();
    session.received.close();
    tracing::info!(replica, reason = %ended.err().map_or_else(|| "replaced".to_owned(), |error| error.to_string()),
        "a follower's connection ended");
    session.drain().await;
    link.end(session.drained);
    if session.drained == Drained::Decided {
        shared.links.leave(replica, &link);
    }
    shared.follower.followers.dec();
}

struct LinkSession<'a> {
    shared: &'a Arc<Shared>,
    link: Arc<ReplicaLink>,
    replica: u128,
    pushes: broadcast::Receiver<Arc<crate::engine::push::Push>>,
    reports: broadcast::Receiver<WeightReport>,
    received: mpsc::Receiver<Frame>,
    waiting: FuturesUnordered<BoxFuture<'static, (u128, CommandResult)>>,
    /// Number and arrival of the follower's question that waits for the lease.
    asked: Option<(u64, Instant)>,
    output: BytesMut,
    drained: Drained,
}

impl LinkSession<'_> {
    async fn run(&mut self, writer: impl AsyncWrite) -> io::Result<()> {
        let mut writer = pin!(writer);
        let mut leads = self.shared.leads.subscribe();
        let welcome = {
            let epoch = self.shared.metrics.epoch.get();
            Frame::Welcome { epoch, barrier: self.shared.committed.read().state.sequence() }
        };
        frame::write_frame(&welcome, &mut self.output);
        super::put_weights(&self.shared.weights.all(), &mut self.output);
        let mut fingerprints = self.shared.committed.read().fingerprints().last.subscribe();
        let mut ping = tokio::time::interval(PING);
        loop {
            if !self.output.is_empty() {
                timeout(WRITE_TIMEOUT, writer.write_all_buf(&mut self.output)).await??;
                timeout(WRITE_TIMEOUT, writer.flush()).await??;
            }
            if !*leads.borrow_and_update() {
                return Err(io::Error::other("this server does not lead any longer"));
            }
            let asked = self.asked.map(|(_, asked)| asked);
            let proof = self.shared.lease.changed(asked.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                () = self.link.replaced.cancelled() => return Ok(()),
                changed = leads.changed() => changed.map_err(io::Error::other)?,
                push = self.pushes.recv() => self.push(push)?,
                Some((id, answer)) = self.waiting.next(), if !self.waiting.is_empty() => self.answer(id, answer),
                frame = self.received.recv() => {
                    let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?;
                    self.receive(frame);
                }
                () = proof, if asked.is_some() => self.answer_question(),
                report = self.reports.recv() => self.report(report)?,
                changed = fingerprints.changed() => {
                    changed.map_err(io::Error::other)?;
                    self.fingerprint(*fingerprints.borrow_and_update());
                }
                _ = ping.tick() => frame::write_frame(&Frame::Ping, &mut self.output),
            }
            // More that is ready joins the same write.
            while self.output.len() < 256 * 1024 {
                if let Ok(push) = self.pushes.try_recv() {
                    self.push(Ok(push))?;
                } else if let Some(Some((id, answer))) = self.waiting.next().now_or_never() {
                    self.answer(id, answer);
                } else if let Ok(frame) = self.received.try_recv() {
                    self.receive(frame);
                } else {
                    break;
                }
            }
        }
    }

    fn push(&mut self, push: Result<Arc<crate::engine::push::Push>, broadcast::error::RecvError>) -> io::Result<()> {
        match push {
            Ok(push) if push.payload.len() < FRAME_MAX / 2 => {
                frame::write_frame(&Frame::Batch((*push).clone()), &mut self.output)
            }
            // The follower reads the gap from the journal.
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return Err(io::Error::other("the engine has ended")),
        }
        Ok(())
    }

    fn report(&mut self, report: Result<WeightReport, broadcast::error::RecvError>) -> io::Result<()> {
        match report {
            Ok(WeightReport { from, weights }) if from != Some(self.replica) => super::put_weights(&weights, &mut self.output),
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => super::put_weights(&self.shared.weights.all(), &mut self.output),
            Err(broadcast::error::RecvError::Closed) => return Err(io::Error::other("the engine has ended")),
        }
        Ok(())
    }

    fn fingerprint(&mut self, fingerprint: Option<Fingerprint>) {
        if let Some(fingerprint) = fingerprint {
            frame::write_frame(&Frame::Fingerprint { form: FORM, fingerprint }, &mut self.output);
        }
    }

    /// A follower rebuilt its state from snapshot and journal, and found it right: this leader's is wrong.
    fn accused(&self, sequence: u64) {
        let accepts = self.shared.committed.read().fingerprints().accepts_accusation();
        tracing::error!(replica = self.replica, sequence, accepts, "a follower proved that this state differs from the journal");
        if accepts {
            let reason = format!(
                "this state differs from the journal at sequence {sequence}, according to a follower that \
                 rebuilt its own; stepping down and rebuilding it"
            );
            self.shared.accused.send_replace(Some(reason));
        }
    }

    fn receive(&mut self, received: Frame) {
        match received {
            Frame::Accuse { sequence } => self.accused(sequence),
            Frame::Weights(weights) => {
                self.shared.follower.weights.inc_by(weights.len() as u64);
                self.shared.weights.merge(&weights);
                let _ = self.shared.weights.reports.send(WeightReport { from: Some(self.replica), weights: weights.into() });
            }
            Frame::Command { id, valid_until, traceparent, command } => self.queue(id, valid_until, &traceparent, &command),
            Frame::Ask { number } => {
                self.asked = Some((number, Instant::now()));
                self.answer_question();
            }
            _ => {}
        }
    }

    /// Answers the follower's question once this replica has proof that it leads.
    fn answer_question(&mut self) {
        // The proof is checked before the sequence is read: no other leader had committed more at that moment.
        if let Some((number, _)) = self.asked.take_if(|(_, asked)| self.shared.lease.proves(*asked)) {
            let sequence = self.shared.committed.read().state.sequence();
            frame::write_frame(&Frame::Sequence { number, sequence }, &mut self.output);
        }
    }

    /// Queues a command in the order of arrival.
    fn queue(&mut self, id: u128, valid_until: Option<i64>, traceparent: &str, bytes: &Bytes) {
        let span =
            service_kit::trace::continue_from_text(traceparent, || tracing::error_span!("forwarded", otel.kind = "server"));
        let entered = span.enter();
        let answer = match Command::decode(bytes) {
            Ok(command) => self.shared.queue.enqueue_forwarded(id, command, valid_until),
            Err(error) => {
                tracing::error!(%error, "a follower of another release sent a command that this release does not know");
                async { Err(SubmitError::Busy) }.boxed()
            }
        };
        drop(entered);
        self.waiting.push(async move { (id, answer.await) }.instrument(span).boxed());
    }

    fn answer(&mut self, id: u128, answer: CommandResult) {
        let failure = match answer {
            // The batch contains its id.
            Ok(CommandReply { outcome, .. }) => match not_executed(outcome) {
                Some(failure) => failure,
                None => return,
            },
            Err(error) => {
                if error == SubmitError::Unknown {
                    self.drained = Drained::Unknown;
                }
                LinkFailure::Submit(error)
            }
        };
        frame::write_frame(&Frame::Refused { id, failure }, &mut self.output);
    }

    /// Waits until every command of this connection is decided.
    async fn drain(&mut self) {
        while let Some((_, answer)) = self.waiting.next().await {
            if answer == Err(SubmitError::Unknown) {
                self.drained = Drained::Unknown;
            }
        }
    }
}

/// The refusals of a cancel-replace that changed nothing: it has an outcome and perhaps no event.
fn not_executed(outcome: Outcome) -> Option<LinkFailure> {
    let Outcome::CancelReplaced(both) = outcome else { return None };
    match (both.cancel, both.new) {
        (Err(cancel), None) => Some(LinkFailure::Halves { cancel, new: None }),
        (Err(cancel), Some(Err(new))) => Some(LinkFailure::Halves { cancel, new: Some(new) }),
        _ => None,
    }
}
