//! This module measures a follower: what a forwarded order costs over a direct one, and how many events it sends to subscribers.
//!
//! - Forwarding: the same number of orders at the leader and at the follower, in alternating rounds. The cost is the processor time of both
//!   servers, of PostgreSQL and of the generator.
//! - Fan-out: subscribers of one market's differences of depth at the follower, while orders arrive at the leader at a fixed rate. The cost is the
//!   follower's own processor time, all of it.

use super::BenchSettings;
use super::arm::postgres_options;
use super::figures::Figures;
use crate::client::{Credentials, WebSocketConnection, open_socket};
use crate::load::{self, histogram};
use crate::measure::{median, memory, processor};
use crate::stage::{StagedExchange, StagedServer, exchange_binary, seed};
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use futures::StreamExt;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use local_parts::Postgres;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_tungstenite::tungstenite::Message;

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const SUBSCRIBERS: usize = 1_000;
/// Orders a second during the fan-out: events of each market in nearly each interval of the stream.
const RATE: f64 = 300.0;
/// Seconds of the fan-out in multiples of an open loop of the rounds.
const FANOUT_SHARE: f64 = 2.5;
/// Time for the last events after the last order.
const SETTLE: Duration = Duration::from_millis(500);
const STREAM: &str = "/ws/btcusdt@depth@100ms?timeUnit=MICROSECOND";

struct FollowerPair {
    leader: StagedServer,
    follower: StagedServer,
    postgres: Postgres,
    credentials: Vec<Credentials>,
    workload: Workload,
}

pub async fn measure_followers(settings: &BenchSettings, folder: &Path, figures: &mut Figures) -> Result<()> {
    let pair = FollowerPair::start(settings, folder).await?;
    let (mut ratios, mut next) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        let each = settings.orders / 2;
        let direct = pair.cost_of(&pair.leader, next..next + each).await?;
        let forwarded = pair.cost_of(&pair.follower, next + each..next + 2 * each).await?;
        next += 2 * each;
        // The first round only warms up.
        if round > 0 {
            ratios.push(forwarded / direct);
        }
    }
    figures.set("forward.cpu_over_direct", median(&ratios));
    let seconds = settings.open_seconds * FANOUT_SHARE;
    pair.fan_out(next..next + (RATE * seconds) as u64, figures).await?;
    pair.follower.stop().await?;
    pair.leader.stop().await
}

impl FollowerPair {
    async fn start(settings: &BenchSettings, folder: &Path) -> Result<Self> {
        let postgres = Postgres::start(postgres_options()).await?;
        let database = postgres.create_database("followers").await?;
        let exchange = StagedExchange::new(exchange_binary()?, folder, &database, None);
        exchange.migrate().await?;
        seed(&exchange, &database).await?;
        let leader = exchange.serve("leader").await?;
        let follower = exchange.serve("follower").await?;
        Ok(Self { leader, follower, postgres, credentials: load::credentials()?, workload: Workload::new(settings.seed) })
    }

    fn follower_pid(&self) -> Result<u32> {
        self.follower.child.pid().context("the follower runs")
    }

    /// Processor seconds of everything for these orders at one of the servers.
    async fn cost_of(&self, server: &StagedServer, orders: Range<u64>) -> Result<f64> {
        let leader = self.leader.child.pid().context("the leader runs")?;
        let postgres = self.postgres.pid().context("PostgreSQL runs")?;
        let spent = || -> Result<Duration> {
            let servers = processor::of_process(leader)? + processor::of_process(self.follower_pid()?)?;
            Ok(servers + processor::of_tree(postgres)? + processor::of_process(std::process::id())?)
        };
        let before = spent()?;
        load::closed(server.api, &self.credentials, self.workload, CONNECTIONS, orders).await?;
        Ok((spent()? - before).as_secs_f64())
    }

    async fn fan_out(&self, orders: Range<u64>, figures: &mut Figures) -> Result<()> {
        let pid = self.follower_pid()?;
        let alone = memory::resident_of(pid)?;
        let mut sockets = try_join_all((0..SUBSCRIBERS).map(|_| open_socket(self.follower.api, STREAM))).await?;
        let (frames, delays) = (Cell::new(0_u64), RefCell::new(histogram()?));
        let before = processor::of_process(pid)?;
        let sending = async {
            load::open(self.leader.api, &self.credentials, self.workload, CONNECTIONS, RATE, orders).await?;
            tokio::time::sleep(SETTLE).await;
            anyhow::Ok(())
        };
        let receiving = try_join_all(sockets.iter_mut().map(|socket| receive(socket, &frames, &delays)));
        tokio::select! {
            sent = sending => sent?,
            lost = receiving => { lost?; }
        }
        let spent = (processor::of_process(pid)? - before).as_secs_f64();
        let subscribed = memory::resident_of(pid)?.saturating_sub(alone);
        figures.set("fanout.events_per_cpu_second", frames.get() as f64 / spent);
        figures.set("fanout.events", frames.get() as f64);
        figures.set("fanout.p50_ms", delays.borrow().value_at_quantile(0.5) as f64 / 1e3);
        figures.set("fanout.p99_ms", delays.borrow().value_at_quantile(0.99) as f64 / 1e3);
        figures.set("fanout.kb_per_subscriber", subscribed as f64 / 1024.0 / SUBSCRIBERS as f64);
        Ok(())
    }
}

/// Counts events, and records the time of each from its own time to this program, until the connection is lost, which is an error.
async fn receive(socket: &mut WebSocketConnection, frames: &Cell<u64>, delays: &RefCell<Histogram<u64>>) -> Result<()> {
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
        let event = event_time(&text).with_context(|| format!("an event without its time: {text}"))?;
        frames.set(frames.get() + 1);
        delays.borrow_mut().saturating_record(now.saturating_sub(event));
    }
    bail!("the server closed a subscriber's connection")
}

/// The field `E`, µs; reading the whole event would cost more than the server's part.
fn event_time(text: &str) -> Option<u64> {
    let rest = text.split_once("\"E\":")?.1;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_event_is_found() {
        assert_eq!(event_time(r#"{"e":"depthUpdate","E":1700000000000001,"s":"BTCUSDT"}"#), Some(1_700_000_000_000_001));
        assert_eq!(event_time("{}"), None);
    }
}
