//! This module exports spans whose begin and end were measured elsewhere, such as the steps of a command that passed a queue.
//!
//! - Without an exporter, or for a trace that is not sampled, [`Sampled::current`] is `None` and no step costs anything.
//! - A measured span must not be the current span: it is complete when it is created.

use std::time::{Instant, SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, Span as _, SpanContext, SpanKind, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::{Dispatch, Span, Subscriber, dispatcher, span::Id};
use tracing_opentelemetry::{OpenTelemetrySpanExt, get_otel_context};
use tracing_subscriber::Layer;

use super::sampling;

/// Most links of one span: the limit of OpenTelemetry's specification.
pub const LINKS_MAX: usize = 128;

/// Makes the tracer available to every thread of the subscriber.
pub(crate) struct TracerLayer(pub SdkTracer);

impl<S: Subscriber> Layer<S> for TracerLayer {}

/// The identity of a span that is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled(SpanContext);

impl Sampled {
    /// The current span, if it is exported.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// `span`, if it is exported.
    pub fn of(span: &Span) -> Option<Self> {
        span.with_subscriber(|(id, dispatch)| Self::find(id, dispatch)).flatten()
    }

    fn find(id: &Id, dispatch: &Dispatch) -> Option<Self> {
        let context = get_otel_context(id, dispatch)?;
        let ids = context.span().span_context().clone();
        (ids.is_valid() && ids.is_sampled()).then_some(Self(ids))
    }

    /// A step below this span.
    pub fn step(&self, name: &'static str, begun: Instant, ended: Instant) -> MeasuredStep<'_> {
        MeasuredStep { parent: self, name, begun, ended, attributes: Vec::new(), links: Vec::new() }
    }

    /// Creates a child of this span.
    pub fn child(&self, create: impl FnOnce() -> Span) -> Span {
        sampling::below(self.0.clone(), create)
    }

    /// Links from `span` to this one.
    pub fn link_from(&self, span: &Span) {
        span.add_link(self.0.clone());
    }

    /// The trace's id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }
}

/// A span that is complete.
#[must_use = "a step is lost unless it is exported"]
pub struct MeasuredStep<'a> {
    parent: &'a Sampled,
    name: &'static str,
    begun: Instant,
    ended: Instant,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl MeasuredStep<'_> {
    pub fn attribute(mut self, name: &'static str, value: i64) -> Self {
        self.attributes.push(KeyValue::new(name, value));
        self
    }

    /// Links from this span to spans of other traces, at most [`LINKS_MAX`].
    pub fn links<'s>(mut self, spans: impl IntoIterator<Item = &'s Sampled>) -> Self {
        let room = LINKS_MAX.saturating_sub(self.links.len());
        self.links.extend(spans.into_iter().take(room).map(|span| Link::new(span.0.clone(), Vec::new(), 0)));
        self
    }

    /// Queues the span for export. `None`: the exporter has ended.
    pub fn export(self) -> Option<Sampled> {
        dispatcher::get_default(|dispatch| {
            let TracerLayer(tracer) = dispatch.downcast_ref()?;
            let ended = wall_clock(self.ended);
            let took = self.ended.saturating_duration_since(self.begun);
            let parent = Context::new().with_remote_span_context(self.parent.0.clone());
            let mut span = tracer
                .span_builder(self.name)
                .with_kind(SpanKind::Internal)
                .with_start_time(ended.checked_sub(took).unwrap_or(ended))
                .with_attributes(self.attributes.clone())
                .with_links(self.links.clone())
                .start_with_context(tracer, &parent);
            let ids = span.span_context().clone();
            span.end_with_timestamp(ended);
            ids.is_valid().then_some(Sampled(ids))
        })
    }
}

fn wall_clock(at: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(at.elapsed()).unwrap_or(now)
}
