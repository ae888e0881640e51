//! This module measures how long chunks take with the pattern of Fluent Bit on an ordinary node: each second a small chunk of
//! every pod, all at once, and 3 to 31 s of waiting after a refusal.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::{bulk, chunks, measure::Relay};

const PODS: usize = 20;
const LINES: usize = 10;
/// Elasticsearch's time for a small request on a busy cluster.
pub const ANSWER_AFTER: Duration = Duration::from_millis(100);
/// Fluent Bit's shortest and longest wait before it sends a refused chunk again (`scheduler.base` 2, `scheduler.cap` 30).
const SHORTEST_WAIT: Duration = Duration::from_secs(3);
const LONGEST_WAIT: Duration = Duration::from_secs(31);
/// The share of chunks that are faster than the result.
const PERCENTILE: f64 = 0.99;

/// Returns the 99th percentile, in seconds, of the time from a chunk's first attempt to its success.
pub async fn p99(seconds: usize) -> Result<f64> {
    let server = bulk::Server::start(ANSWER_AFTER).await?;
    let mut relay = Relay::start(&server.url()).await?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let bodies = chunks::small(PODS * seconds, LINES)?;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut sent = Vec::new();
    for (number, body) in bodies.into_iter().enumerate() {
        if number.is_multiple_of(PODS) {
            tick.tick().await;
        }
        sent.push(tokio::spawn(send(client.clone(), relay.url().to_owned(), body)));
    }
    let mut times = Vec::new();
    for chunk in sent {
        times.push(chunk.await??.as_secs_f64());
    }
    relay.stop().await?;
    times.sort_by(f64::total_cmp);
    let place = (times.len() as f64 * PERCENTILE).ceil() as usize;
    Ok(times[place.clamp(1, times.len()) - 1])
}

async fn send(client: reqwest::Client, url: String, body: Bytes) -> Result<Duration> {
    let began = Instant::now();
    let mut wait = SHORTEST_WAIT;
    loop {
        let reply = client.post(&url).header("content-encoding", "gzip").body(body.clone()).send().await?;
        let status = reply.status();
        if status.is_success() {
            return Ok(began.elapsed());
        }
        ensure!(matches!(status.as_u16(), 429 | 503), "the relay answered {status}: {}", reply.text().await?);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
