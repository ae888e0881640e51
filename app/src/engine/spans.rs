//! This module exports the steps of a command as spans: queue, decide, commit, publish. It must not measure a command whose trace is
//! not sampled.
//!
//! Each batch is one span below the first of its commands, with links to all of them; each command's commit links to the batch.

use std::time::Instant;

use service_kit::trace::Sampled;

/// The times of a command that is traced.
pub(super) struct Traced {
    pub span: Sampled,
    pub arrived: Instant,
    pub decide_begun: Instant,
    pub decide_ended: Instant,
}

/// A durable batch.
pub(super) struct Durable {
    pub epoch: i64,
    pub first_sequence: u64,
    pub last_sequence: u64,
    pub sent: Instant,
    pub durable: Instant,
    /// Visible to reads, and sent to followers.
    pub published: Instant,
}

impl Traced {
    fn decided(&self) {
        self.span.step("queue", self.arrived, self.decide_begun).export();
        self.span.step("decide", self.decide_begun, self.decide_ended).export();
    }
}

/// Exports the steps of commands that changed nothing.
pub(super) fn of_answers(commands: &[Traced]) {
    commands.iter().for_each(Traced::decided);
}

/// Exports the steps of a durable batch.
pub(super) fn of_batch(commands: &[Traced], batch: &Durable) {
    let Some(first) = commands.first() else { return };
    let Durable { sent, durable, published, .. } = *batch;
    let step = first.span.step("batch", sent, published);
    let step = step
        .attribute("exchange.epoch", batch.epoch)
        .attribute("exchange.first_sequence", batch.first_sequence.cast_signed())
        .attribute("exchange.last_sequence", batch.last_sequence.cast_signed());
    let batch = step.links(commands.iter().map(|command| &command.span)).export();
    for command in commands {
        command.decided();
        command.span.step("commit", sent, durable).links(&batch).export();
        command.span.step("publish", durable, published).export();
    }
}
