//! This module is the layer that writes events as ECS lines.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use smallvec::SmallVec;
use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::WeakDispatch,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{
    Service,
    line::{LineFields, LogLine},
    output::LogOutput,
};
use crate::trace::{self, TraceContext};

pub(super) struct EcsLayer {
    service: Service,
    output: Arc<LogOutput>,
    dispatch: OnceLock<WeakDispatch>,
}

/// The fields of a span as JSON, stored in the span until a line needs them. Every request has fields and few requests
/// log a line, so all fields share one allocation.
#[derive(Default)]
struct SpanFields {
    fields: SmallVec<[(&'static str, Range<usize>); 4]>,
    json: Vec<u8>,
}

impl SpanFields {
    fn set(&mut self, name: &'static str, json: &[u8]) {
        let previous = self.fields.iter_mut().find(|(previous, _)| *previous == name);
        let start = match &previous {
            // Overwrite the previous value where the new one fits: a span that records its progress must not grow.
            Some((_, place)) if json.len() <= place.len() => place.start,
            _ => self.json.len(),
        };
        let place = start..start + json.len();
        if place.end > self.json.len() {
            self.json.extend_from_slice(json);
        } else {
            self.json[place.clone()].copy_from_slice(json);
        }
        match previous {
            Some((_, previous)) => *previous = place,
            None => self.fields.push((name, place)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.fields.iter().map(|(name, place)| (*name, &self.json[place.clone()]))
    }
}

impl EcsLayer {
    pub(super) fn new(service: Service, output: Arc<LogOutput>) -> Self {
        Self { service, output, dispatch: OnceLock::new() }
    }

    fn identity<'a, S: LookupSpan<'a>>(&self, span: &SpanRef<'a, S>) -> Option<TraceContext> {
        let exported =
            self.dispatch.get().and_then(WeakDispatch::upgrade).and_then(|dispatch| trace::exported(&span.id(), &dispatch));
        exported.or_else(|| trace::own(span))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for EcsLayer {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // Set once: a layer belongs to one subscriber.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.fields().is_empty() {
            return;
        }
        let mut fields = SpanFields::default();
        attributes.record(&mut LineFields::new(|name, json| fields.set(name, json)));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(fields) = extensions.get_mut::<SpanFields>() {
            values.record(&mut LineFields::new(|name, json| fields.set(name, json)));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let fill = |line: &mut LogLine<'_>| {
            // The innermost field wins: an event's field hides a span's field of the same name, an inner span's an outer's.
            let mut written: Vec<&'static str> = Vec::new();
            event.record(&mut LineFields::new(|name, json| {
                written.push(name);
                line.json(name, json);
            }));
            line.text("log.logger", metadata.target());
            let Some(innermost) = context.event_span(event) else { return };
            if let Some(identity) = self.identity(&innermost) {
                line.trace(identity);
            }
            for span in innermost.scope() {
                let extensions = span.extensions();
                for (name, json) in extensions.get::<SpanFields>().into_iter().flat_map(SpanFields::iter) {
                    if !written.contains(&name) {
                        written.push(name);
                        line.json(name, json);
                    }
                }
            }
        };
        let level = match *metadata.level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        LogLine::with(level, self.service, fill, |line| self.output.write(line));
    }
}
