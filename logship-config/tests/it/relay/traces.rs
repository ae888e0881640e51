//! The spans of chunks, against a receiver that refuses what breaks OTLP or the conventions of HTTP spans.

use std::time::{Duration, Instant};

use local_parts::{StoredSpan, TraceReceiver};

use super::world::{APP, READY_DEADLINE, Told, World, cluster, good, line, refuse_items, refuse_requests};

const PARENT_ID: &str = "b7ad6b7169203331";
const POLL: Duration = Duration::from_millis(50);

async fn relay(receiver: &TraceReceiver) -> World {
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200")];
    World::start_with(cluster(false), &exporting).await
}

/// Sends one document as a shipper that takes part in a trace.
async fn send(world: &World, number: usize, trace_id: &str) -> Told {
    let request = world.client.post(&world.url).body(line(APP, &number.to_string(), &good(number)));
    world.told(request.header("traceparent", format!("00-{trace_id}-{PARENT_ID}-01"))).await.expect("an answer")
}

/// The spans of a trace in the order of their begins, once the chunk's has arrived. It ends last, so the others arrive before it.
async fn spans(receiver: &TraceReceiver, trace_id: &str) -> Vec<StoredSpan> {
    let end = Instant::now() + READY_DEADLINE;
    loop {
        let mut spans = receiver.trace(trace_id);
        if spans.iter().any(|span| span.kind == "server") {
            assert_eq!(receiver.faults(), Vec::<String>::new());
            spans.sort_by_key(|span| span.begun);
            return spans;
        }
        assert!(Instant::now() < end, "the span of the chunk did not arrive: {spans:#?}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_chunk_and_its_requests_are_one_trace() {
    const STORED: &str = "0af7651916cd43dd8448eb211c80320a";
    const RESENT: &str = "0af7651916cd43dd8448eb211c80320b";
    let receiver = TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let world = relay(&receiver).await;

    assert!(send(&world, 1, STORED).await.is_success());
    let trace = spans(&receiver, STORED).await;
    let [chunk, request] = &trace[..] else { panic!("two spans: {trace:#?}") };
    assert_eq!((chunk.service.as_str(), chunk.kind, chunk.parent_id.as_str()), ("logship", "server", PARENT_ID));
    assert_eq!(chunk.attributes["http.response.status_code"], 200, "{chunk:#?}");
    assert_eq!((request.name.as_str(), request.kind, &request.parent_id), ("POST /_bulk", "client", &chunk.span_id));
    assert!(chunk.begun <= request.begun && request.ended <= chunk.ended, "{trace:#?}");
    assert_eq!(request.attributes["documents"], "1", "{request:#?}");

    // The second request is a span of its own, and says that it repeats documents.
    world.fault(refuse_items(429, "es_rejected_execution_exception").on(APP).times(1));
    assert!(send(&world, 2, RESENT).await.is_success());
    let trace = spans(&receiver, RESENT).await;
    let [chunk, first, second] = &trace[..] else { panic!("three spans: {trace:#?}") };
    assert_eq!((&first.parent_id, &second.parent_id), (&chunk.span_id, &chunk.span_id));
    assert_eq!([first, second].map(|request| request.attributes["again"] == true), [false, true]);
}

#[tokio::test]
async fn a_chunk_that_is_not_stored_is_a_failed_span() {
    const REFUSED: &str = "0af7651916cd43dd8448eb211c80320c";
    let receiver = TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let exporting = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
        ("LOGSHIP_RELAY_DEADLINE", "1s"),
    ];
    let world = World::start_with(cluster(false), &exporting).await;
    world.fault(refuse_requests(503, "unavailable_shards_exception"));
    assert_eq!(send(&world, 1, REFUSED).await.status, 503);
    let trace = spans(&receiver, REFUSED).await;
    let chunk = trace.iter().find(|span| span.kind == "server").expect("the chunk's span");
    assert!(chunk.failed() && chunk.attributes["http.response.status_code"] == 503, "{chunk:#?}");
}
