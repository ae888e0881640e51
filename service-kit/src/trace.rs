//! This module carries trace ids across processes: W3C `traceparent` in and out (<https://www.w3.org/TR/trace-context/>).
//!
//! Every span belongs to a trace, exported or not. An operator can thus join a log line, a 5xx reply and the next
//! program's lines. The ids of an exported span are OpenTelemetry's. This module creates those of the others on first
//! use, so that a request that logs nothing costs nothing.

mod context;
mod http;
pub(crate) mod measured;
pub(crate) mod sampling;

use axum::http::{HeaderMap, HeaderValue, header::HeaderName};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState};
use tracing::{Dispatch, Span};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::{
    Registry,
    registry::{LookupSpan, SpanRef},
};

pub use context::TraceContext;
pub use http::{answered, failed, server, server_span};
pub use measured::{LINKS_MAX, MeasuredStep, Sampled};

/// The header that carries the trace from one program to the next.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Creates a span in the trace that the headers name, or in a new one if they name none or a malformed one.
pub fn continue_from(headers: &HeaderMap, create: impl FnOnce() -> Span) -> Span {
    match headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        Some(text) => continue_from_text(text, create),
        None => create(),
    }
}

/// [`continue_from`] for carriers other than HTTP, such as a job's payload.
pub fn continue_from_text(traceparent: &str, create: impl FnOnce() -> Span) -> Span {
    let Some(remote) = TraceContext::parse(traceparent) else { return create() };
    let parent = SpanContext::new(remote.trace_id, remote.span_id, remote.flags, true, TraceState::default());
    let span = sampling::below(parent, create);
    // The ids of a span that is not exported.
    span.with_subscriber(|(id, dispatch)| {
        if let Some(registry) = dispatch.downcast_ref::<Registry>()
            && let Some(span) = registry.span(id)
        {
            span.extensions_mut().replace(remote.child());
        }
    });
    span
}

/// Names the current span in the headers of a request to another program. Does nothing outside a span.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(value) = traceparent().and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(TRACEPARENT, value);
    }
}

/// The current span as a `traceparent`, for carriers other than HTTP. `None` outside a span.
pub fn traceparent() -> Option<String> {
    current().map(|context| context.to_string())
}

/// The current trace id as in the log lines, 32 hexadecimal digits. `None` outside a span.
pub fn trace_id() -> Option<String> {
    current().map(|context| context.trace_id.to_string())
}

/// The identity of the current span. `None` outside a span, or if no subscriber stores spans.
pub fn current() -> Option<TraceContext> {
    Span::current()
        .with_subscriber(|(id, dispatch)| {
            exported(id, dispatch).or_else(|| own(&dispatch.downcast_ref::<Registry>()?.span(id)?))
        })
        .flatten()
}

/// The identity that OpenTelemetry gave to the span; `None` if it is not exported.
pub(crate) fn exported(id: &tracing::span::Id, dispatch: &Dispatch) -> Option<TraceContext> {
    let context = get_otel_context(id, dispatch)?;
    let span = context.span();
    let ids = span.span_context();
    ids.is_valid().then(|| TraceContext { trace_id: ids.trace_id(), span_id: ids.span_id(), flags: ids.trace_flags() })
}

/// Returns the span's identity and creates it on first use. The span shares the trace of its nearest ancestor that has
/// one. Otherwise its root begins a trace, so that siblings later find the same trace.
pub(crate) fn own<'a, R: LookupSpan<'a>>(span: &SpanRef<'a, R>) -> Option<TraceContext> {
    let known = |span: &SpanRef<'a, R>| span.extensions().get::<TraceContext>().copied();
    if let Some(context) = known(span) {
        return Some(context);
    }
    let ancestor = span.scope().skip(1).find_map(|ancestor| known(&ancestor));
    let root = span.scope().last()?;
    let context = match ancestor {
        Some(ancestor) => ancestor.child(),
        None if root.id() == span.id() => TraceContext::begin(),
        None => remember(&root, TraceContext::begin()).child(),
    };
    Some(remember(span, context))
}

/// Stores `context` unless another thread stored one first, and returns the stored context.
fn remember<'a, R: LookupSpan<'a>>(span: &SpanRef<'a, R>, context: TraceContext) -> TraceContext {
    let mut extensions = span.extensions_mut();
    if let Some(stored) = extensions.get_mut::<TraceContext>() {
        return *stored;
    }
    extensions.insert(context);
    context
}

#[cfg(test)]
mod tests {
    use tracing::{info_span, subscriber::with_default};

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_request_continues_the_trace_of_its_headers_and_hands_it_on() {
        with_default(Registry::default(), || {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, PARENT.parse().unwrap());
            let request = continue_from(&headers, || info_span!("request"));
            request.in_scope(|| info_span!("inner").in_scope(|| inject(&mut headers)));
            let handed_on = headers[TRACEPARENT].to_str().unwrap();
            assert!(handed_on.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && handed_on.ends_with("-01"));
            assert_ne!(handed_on, PARENT, "the next hop is a child of this span, not a sibling");
        });
    }

    #[test]
    fn siblings_share_a_trace_and_differ_in_span() {
        with_default(Registry::default(), || {
            let root = info_span!("root").entered();
            let first = info_span!("first").in_scope(current).unwrap();
            let second = info_span!("second").in_scope(current).unwrap();
            let of_root = current().unwrap();
            assert_eq!((first.trace_id, second.trace_id), (of_root.trace_id, of_root.trace_id));
            assert!(first.span_id != second.span_id && first.span_id != of_root.span_id);
            assert_eq!(current().unwrap(), of_root, "asking again changes nothing");
            drop(root);
            assert_ne!(info_span!("other").in_scope(trace_id), Some(of_root.trace_id.to_string()));
        });
    }

    #[test]
    fn outside_a_span_there_is_no_trace() {
        with_default(Registry::default(), || {
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            assert!(headers.is_empty() && trace_id().is_none());
        });
    }
}
