//! Tests of the spans that two servers export, against a receiver that refuses what breaks OTLP or the conventions of HTTP spans.

use local_parts::{StoredSpan, TraceReceiver};
use reqwest::{Client, Method, StatusCode};

use crate::{
    eventually::{eventually, until},
    processes::Process,
    replica::database,
    rolling::market,
};

const PARENT_ID: &str = "b7ad6b7169203331";

fn traceparent(trace_id: &str) -> String {
    format!("00-{trace_id}-{PARENT_ID}-01")
}

/// The spans of a trace once `count` of them have arrived.
async fn spans(receiver: &TraceReceiver, trace_id: &str, count: usize) -> Vec<StoredSpan> {
    eventually("the spans arrive", || async { Some(receiver.trace(trace_id)).filter(|spans| spans.len() >= count) }).await
}

fn named<'a>(spans: &'a [StoredSpan], name: &str) -> &'a StoredSpan {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:#?}"))
}

#[tokio::test]
async fn an_order_through_a_follower_is_one_trace() {
    const ORDER: &str = "0af7651916cd43dd8448eb211c80319c";
    const REFUSED: &str = "0af7651916cd43dd8448eb211c80319d";
    const UNSAMPLED: &str = "0af7651916cd43dd8448eb211c80319e";
    let receiver = TraceReceiver::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200")];
    let url = database().await;
    let leader = Process::serve_with(&url, &exporting).await;
    leader.leads().await;
    let follower = Process::serve_with(&url, &exporting).await;
    follower.stands_by().await;
    let key = market(&url).await;
    let client = Client::new();
    let ask = |api: &str, method: Method, path: &str, parameters: &str, traceparent: String| {
        let request = client.request(method, format!("{api}{path}?{}", key.sign(parameters)));
        let request = request.header("X-MBX-APIKEY", &key.api_key).header("traceparent", traceparent);
        async move { request.send().await.unwrap().status() }
    };
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0.1";
    let account =
        |api| ask(api, Method::GET, "/api/v3/account", "omitZeroBalances=true", traceparent(UNSAMPLED).replace("-01", "-00"));
    until("the follower is ready", || async { follower.is_ready().await && account(&follower.api).await.is_success() }).await;

    assert_eq!(ask(&follower.api, Method::POST, "/api/v3/order", order, traceparent(ORDER)).await, StatusCode::OK);
    let trace = spans(&receiver, ORDER, 8).await;
    assert_eq!(receiver.faults(), Vec::<String>::new());
    let (request, hop, decided) = (named(&trace, "POST /api/v3/order"), named(&trace, "forward"), named(&trace, "forwarded"));
    assert_eq!((request.kind, request.parent_id.as_str(), hop.kind, decided.kind), ("server", PARENT_ID, "client", "server"));
    assert_eq!((&hop.parent_id, &decided.parent_id), (&request.span_id, &hop.span_id), "each hop is a child of the last");
    for step in ["queue", "decide", "commit", "publish", "batch"] {
        assert_eq!(named(&trace, step).parent_id, decided.span_id, "{step}");
    }
    let (batch, commit) = (named(&trace, "batch"), named(&trace, "commit"));
    assert_eq!(batch.links[0].span_id, decided.span_id, "the batch links to its command");
    assert_eq!(commit.links[0].span_id, batch.span_id, "the command links to its batch");
    assert!(batch.attributes["exchange.last_sequence"].as_u64() >= batch.attributes["exchange.first_sequence"].as_u64());
    let [queue, decide, publish] = ["queue", "decide", "publish"].map(|step| named(&trace, step));
    assert!(queue.ended <= decide.ended && decide.ended <= commit.ended && commit.ended <= publish.ended, "{trace:#?}");

    // A refusal is decided, not committed, and not an error of the server.
    let unknown = "symbol=NONE&side=BUY&type=LIMIT&timeInForce=GTC&price=100&quantity=0.1";
    assert_eq!(ask(&leader.api, Method::POST, "/api/v3/order", unknown, traceparent(REFUSED)).await, StatusCode::BAD_REQUEST);
    let trace = spans(&receiver, REFUSED, 1).await;
    assert_eq!(
        (named(&trace, "POST /api/v3/order").status, trace[0].attributes["http.response.status_code"].as_u64()),
        ("unset", Some(400))
    );
    assert!(receiver.trace(UNSAMPLED).is_empty(), "the caller did not sample this trace");
    assert_eq!(receiver.faults(), Vec::<String>::new());
}
