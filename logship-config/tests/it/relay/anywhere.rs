//! This module tests the relay's reaction to the answers of a real `_bulk`, with the fake or with the cluster of
//! `ELASTICSEARCH_URL`.

use logship::{
    client::{Client, Method},
    desired::Desired,
};
use serde_json::{Value, json};

use super::world::{World, bad, cluster, good, line};
use crate::place::{Place, apply, declared};

const STREAM: &str = "logs-lt.relay-default";
const LETTERS: &str = "logs-lt.letters-default";

fn streams() -> Desired {
    let template = |pattern: &str, mappings: &str| {
        format!(
            "{{index_patterns: [{pattern}], priority: 300, data_stream: {{}}, template: {{settings: {{number_of_replicas: 0}}, \
             lifecycle: {{data_retention: 7d}}, mappings: {mappings}, data_stream_options: {{failure_store: {{enabled: \
             false}}}}}}}}"
        )
    };
    declared(&[
        ("templates/index/lt-relay.yaml", &template(STREAM, "{properties: {price: {type: long}}}")),
        ("templates/index/lt-letters.yaml", &template(LETTERS, "{dynamic: \"false\"}")),
        ("streams.yaml", &format!("streams: {{{STREAM}: {{}}, {LETTERS}: {{}}}}")),
    ])
}

async fn count(client: &Client, stream: &str) -> Value {
    client.send(Method::Post, &format!("/{stream}/_refresh"), &[], None).await.unwrap();
    client.get(&format!("/{stream}/_count")).await.unwrap()["count"].clone()
}

#[tokio::test]
async fn created_there_already_and_refused_for_good() {
    let place = Place::any().await;
    apply(&place.client, &streams()).await;
    let settings = [
        ("LOGSHIP_ELASTICSEARCH_URL", place.url.as_str()),
        ("LOGSHIP_RELAY_STREAMS", STREAM),
        ("LOGSHIP_RELAY_DEAD_LETTERS", LETTERS),
    ];
    // The world's own fake is idle: the relay uses the cluster of the test.
    let mut world = World::begin(cluster(false), &settings).await;
    world.ready().await;
    let lines = |numbers: std::ops::Range<usize>| numbers.map(|number| line(STREAM, &number.to_string(), &good(number)));
    let body: String = lines(0..3).chain([line(STREAM, "bad", &bad(3))]).collect();
    // 201 and 400, then 409 for both the documents and the letter.
    for (created, there) in [((3, 1), (0, 0)), ((3, 1), (3, 1))] {
        assert!(world.send(body.as_bytes()).await.is_success(), "{}", world.log());
        assert_eq!((world.settled("stored").await, world.settled("dead_letter").await), created);
        assert_eq!((world.settled("already_there").await, world.settled("dead_letter_already_there").await), there);
        assert_eq!((count(&place.client, STREAM).await, count(&place.client, LETTERS).await), (json!(3), json!(1)));
    }
    place.clean(&streams()).await;
}
