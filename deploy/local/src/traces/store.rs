//! This module stores the newest traces in bounded memory. Failed traces have space of their own, so that traffic does not replace
//! them.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use super::read::{SpanLink, StoredSpan};

/// Spans of traces without an error; one span has about 500 bytes.
const SPANS_MAX: usize = 60_000;
/// Spans of traces with an error.
const FAILED_SPANS_MAX: usize = 20_000;
/// Spans of one trace. A client that sends the same trace id for ever must not fill the store.
const TRACE_SPANS_MAX: usize = 1_000;

#[derive(Default)]
pub struct TraceStore {
    traces: HashMap<String, Vec<StoredSpan>>,
    /// In the order of arrival.
    plain: VecDeque<String>,
    failed: VecDeque<String>,
    plain_spans: usize,
    failed_spans: usize,
    discarded: u64,
}

/// One line of a list.
#[derive(Debug, Serialize)]
pub struct ListedTrace {
    trace_id: String,
    name: String,
    services: Vec<String>,
    begun: u64,
    ended: u64,
    spans: usize,
    failed: bool,
}

impl TraceStore {
    pub fn put(&mut self, spans: Vec<StoredSpan>) {
        let mut arrived: BTreeMap<String, Vec<StoredSpan>> = BTreeMap::new();
        for span in spans {
            arrived.entry(span.trace_id.clone()).or_default().push(span);
        }
        for (id, spans) in arrived {
            self.put_trace(id, spans);
        }
        self.limit();
    }

    fn put_trace(&mut self, id: String, spans: Vec<StoredSpan>) {
        let known = self.traces.contains_key(&id);
        let trace = self.traces.entry(id.clone()).or_default();
        let (was_failed, before) = (has_failed(trace), trace.len());
        for span in spans {
            let repeated = trace.iter().any(|stored| stored.span_id == span.span_id);
            if repeated || trace.len() >= TRACE_SPANS_MAX {
                self.discarded += 1;
            } else {
                trace.push(span);
            }
        }
        let (failed, after) = (has_failed(trace), trace.len());
        if known {
            *self.space(was_failed) -= before;
        }
        *self.space(failed) += after;
        if !known || failed != was_failed {
            if known {
                self.plain.retain(|stored| *stored != id);
            }
            if failed { self.failed.push_back(id) } else { self.plain.push_back(id) }
        }
    }

    fn space(&mut self, failed: bool) -> &mut usize {
        if failed { &mut self.failed_spans } else { &mut self.plain_spans }
    }

    fn limit(&mut self) {
        while self.plain_spans > SPANS_MAX {
            let Some(id) = self.plain.pop_front() else { break };
            self.plain_spans -= self.traces.remove(&id).map_or(0, |trace| trace.len());
        }
        while self.failed_spans > FAILED_SPANS_MAX {
            let Some(id) = self.failed.pop_front() else { break };
            self.failed_spans -= self.traces.remove(&id).map_or(0, |trace| trace.len());
        }
    }

    pub fn spans(&self) -> impl Iterator<Item = &StoredSpan> {
        self.traces.values().flatten()
    }

    pub fn trace(&self, id: &str) -> Vec<StoredSpan> {
        let mut spans = self.traces.get(id).cloned().unwrap_or_default();
        spans.sort_by_key(|span| (span.begun, std::cmp::Reverse(span.ended)));
        spans
    }

    /// Spans of other traces that link to this one.
    pub fn links_to(&self, id: &str) -> Vec<SpanLink> {
        let linking = self.spans().filter(|span| span.trace_id != id && span.links.iter().any(|link| link.trace_id == id));
        linking.map(|span| SpanLink { trace_id: span.trace_id.clone(), span_id: span.span_id.clone() }).collect()
    }

    /// Traces that ended after `since` (since 1970) and took at least `least`, newest first.
    pub fn list(&self, since: Duration, least: Duration, failed_only: bool, most: usize) -> Vec<ListedTrace> {
        let mut listed: Vec<ListedTrace> = self.traces.iter().filter_map(|(id, spans)| listed(id, spans)).collect();
        listed.retain(|one| {
            let (ended, took) = (Duration::from_nanos(one.ended), Duration::from_nanos(one.ended - one.begun));
            ended >= since && took >= least && (one.failed || !failed_only)
        });
        listed.sort_by_key(|one| std::cmp::Reverse(one.begun));
        listed.truncate(most);
        listed
    }
}

fn has_failed(spans: &[StoredSpan]) -> bool {
    spans.iter().any(StoredSpan::failed)
}

fn listed(id: &str, spans: &[StoredSpan]) -> Option<ListedTrace> {
    let first = spans.iter().min_by_key(|span| (!span.parent_id.is_empty(), span.begun))?;
    let mut services: Vec<String> = spans.iter().map(|span| span.service.clone()).collect();
    services.sort_unstable();
    services.dedup();
    Some(ListedTrace {
        trace_id: id.to_owned(),
        name: first.name.clone(),
        services,
        begun: spans.iter().map(|span| span.begun).min()?,
        ended: spans.iter().map(|span| span.ended).max()?,
        spans: spans.len(),
        failed: has_failed(spans),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: usize, number: usize, status: &'static str) -> StoredSpan {
        StoredSpan {
            service: "shop".into(),
            trace_id: format!("{trace:032x}"),
            span_id: format!("{number:016x}"),
            parent_id: String::new(),
            name: "buy".into(),
            kind: "internal",
            begun: 1,
            ended: 2,
            status,
            attributes: BTreeMap::new(),
            links: Vec::new(),
            events: Vec::new(),
        }
    }

    #[test]
    fn traffic_replaces_old_traces_but_not_failed_ones() {
        let mut store = TraceStore::default();
        store.put(vec![span(1, 1, "unset"), span(2, 1, "unset")]);
        store.put(vec![span(2, 2, "error")]);
        for trace in 3..SPANS_MAX + 10 {
            store.put(vec![span(trace, 1, "unset")]);
        }
        assert!(store.trace(&format!("{:032x}", 1)).is_empty());
        assert_eq!(store.trace(&format!("{:032x}", 2)).len(), 2);
        assert_eq!((store.plain_spans, store.failed_spans), (SPANS_MAX, 2));
        assert_eq!(store.spans().count(), SPANS_MAX + 2);
    }

    #[test]
    fn one_trace_cannot_fill_the_store() {
        let mut store = TraceStore::default();
        store.put((0..2 * TRACE_SPANS_MAX).map(|number| span(1, number, "error")).collect());
        store.put(vec![span(1, 1, "error")]);
        assert_eq!((store.failed_spans, store.discarded), (TRACE_SPANS_MAX, TRACE_SPANS_MAX as u64 + 1));
    }
}
