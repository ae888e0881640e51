//! This module remembers which request caused a message, so that the trace of a webhook ends with its messages. The memory is bounded
//! and lost at a restart.

use std::collections::HashMap;

use service_kit::trace::{LINKS_MAX, Sampled};
use tracing::Span;

/// Messages with a known cause.
const REMEMBERED_MAX: usize = 10_000;

#[derive(Default)]
pub struct Causes {
    by_message: HashMap<i64, Sampled>,
}

impl Causes {
    pub fn remember(&mut self, message: i64, cause: Sampled) {
        if self.by_message.len() >= REMEMBERED_MAX {
            self.by_message.clear();
        }
        self.by_message.insert(message, cause);
    }

    pub fn forget(&mut self, message: i64) {
        self.by_message.remove(&message);
    }

    /// The span of a call that delivers these messages: in the trace of the first cause, with links to the others.
    pub fn span(&self, messages: &[i64]) -> Span {
        let mut causes = messages.iter().filter_map(|message| self.by_message.get(message));
        let Some(first) = causes.next() else { return Span::none() };
        let outbox = messages.first().copied();
        let span = first.child(|| tracing::error_span!("deliver", otel.kind = "producer", outbox.id = outbox));
        causes.take(LINKS_MAX).for_each(|cause| cause.link_from(&span));
        span
    }
}
