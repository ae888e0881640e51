//! This module decides before a span exists whether its trace is exported. It must not store a span.
//!
//! OpenTelemetry's layer gathers name, times and attributes of each span, and asks its sampler afterwards. At a ratio of 1 % nearly all of
//! that work is discarded. Here the sampler is asked first, for the first span of a trace in this process, and spans below it follow.

use std::cell::RefCell;

use opentelemetry::{
    Context as TraceParent, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
use tracing::{Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    layer::{Context, Filter},
    registry::LookupSpan,
};

thread_local! {
    /// The span of another process or thread below which this thread is creating a span.
    static PARENT: RefCell<Option<SpanContext>> = const { RefCell::new(None) };
}

/// Creates a span whose parent is `parent`.
pub(super) fn below(parent: SpanContext, create: impl FnOnce() -> Span) -> Span {
    PARENT.set(Some(parent.clone()));
    let span = create();
    PARENT.set(None);
    // Fails if the span is not exported.
    let _ = span.set_parent(TraceParent::new().with_remote_span_context(parent));
    span
}

/// Whether the sampler decides as the parent's sender did, so that all spans of a trace have one decision.
pub(crate) fn follows_parents(sampler: &dyn ShouldSample) -> bool {
    let decides = |flags: TraceFlags| {
        let parent = SpanContext::new(TraceId::from(1), SpanId::from(1), flags, true, TraceState::default());
        is_sampled(sampler, Some(parent), "")
    };
    decides(TraceFlags::SAMPLED) && !decides(TraceFlags::NOT_SAMPLED)
}

fn is_sampled(sampler: &dyn ShouldSample, parent: Option<SpanContext>, name: &str) -> bool {
    let trace = parent.as_ref().map_or_else(|| TraceId::from(rand::random::<u128>()), SpanContext::trace_id);
    let parent = parent.map(|parent| TraceParent::new().with_remote_span_context(parent));
    let result = sampler.should_sample(parent.as_ref(), trace, name, &SpanKind::Internal, &[], &[]);
    result.decision == SamplingDecision::RecordAndSample
}

/// Enables the spans of sampled traces, and their events, for one layer. The tracer of that layer must sample every span.
pub(crate) struct SampledFilter(pub Box<dyn ShouldSample>);

impl SampledFilter {
    /// For the first span of a trace in this process. A ratio is of random numbers, since the trace has no id yet.
    fn begins(&self, name: &str) -> bool {
        is_sampled(&*self.0, PARENT.with_borrow(Clone::clone), name)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for SampledFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        let begins = || metadata.is_span() && self.begins(metadata.name());
        if PARENT.with_borrow(Option::is_some) {
            return begins();
        }
        // The context finds only the spans that this filter enabled.
        context.current_span().id().map_or_else(begins, |current| context.span(current).is_some())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::Sampler;

    use super::*;

    #[test]
    fn only_samplers_that_follow_parents_are_asked_before_a_span_exists() {
        let by_parent = |root| follows_parents(&Sampler::ParentBased(Box::new(root)));
        assert!(by_parent(Sampler::AlwaysOn) && by_parent(Sampler::AlwaysOff) && by_parent(Sampler::TraceIdRatioBased(0.01)));
        for other in [Sampler::AlwaysOn, Sampler::AlwaysOff, Sampler::TraceIdRatioBased(0.01), Sampler::TraceIdRatioBased(1.0)] {
            assert!(!follows_parents(&other), "{other:?}");
        }
    }
}
