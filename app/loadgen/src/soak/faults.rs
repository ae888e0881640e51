//! This module is the fault script: three replicas on a replicated PostgreSQL, each behind a proxy, under the load of clients that retry,
//! while one fault after another hits a replica, its clock, or the database.
//!
//! - Afterwards everything that clients saw is in the journal: acknowledgements, reads, trades on streams. Nothing was executed twice.
//! - The seed determines the faults, their victims and the requests. The machine's timing adds its own variation.

use super::cluster::ExchangeCluster;
use super::fold::Fold;
use super::record::{Log, Record};
use super::trader::Trader;
use super::{account_watcher, watcher};
use crate::random::Random;
use crate::stage::{Proxy, StagedExchange, StagedServer, WallClock, seed};
use anyhow::{Context, Result, ensure};
use local_parts::Folder;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

const REPLICAS: usize = 3;
/// Time under load before each fault: minimum and maximum, ms.
const CALM: (i64, i64) = (300, 1_500);
/// Length of a pause and of a cut, ms: shorter and longer than the lease of 3 s.
const PAUSED: (i64, i64) = (500, 6_000);
/// Time limit for the next acknowledgement after a fault, and for a server to notice its clock.
const BACK: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// What a run does.
#[derive(Debug, Clone)]
pub struct FaultSettings {
    pub seed: u64,
    pub faults: usize,
    pub clients: u32,
    /// The `exchange` program.
    pub binary: PathBuf,
}

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SoakFault {
    /// kill -9.
    Killed,
    /// SIGSTOP, later SIGCONT.
    Paused,
    /// SIGTERM: a rolling restart.
    Ended,
    /// Its connections to PostgreSQL are cut for a while.
    CutOff,
    /// Its wall clock steps by a day or by seconds, and later is right again.
    ClockStepped,
    /// PostgreSQL's primary crashes, and its synchronous standby is promoted.
    Promoted,
    /// As before, and the primary had shown a batch that the standby lacks. Its time begins when the standby ends.
    TailLost,
}

const KINDS: [SoakFault; 7] = [
    SoakFault::Killed,
    SoakFault::Paused,
    SoakFault::Ended,
    SoakFault::CutOff,
    SoakFault::ClockStepped,
    SoakFault::Promoted,
    SoakFault::TailLost,
];

/// Steps of a wall clock, s: each is larger than the bound within which a server leads.
const STEPS: [i64; 4] = [86_400, 3, -3, -86_400];

/// The longest time without an acknowledgement, by kind of fault.
#[derive(Debug, Default)]
pub struct FaultSummary {
    pub orders: usize,
    pub exists: usize,
    pub unknown: usize,
    pub trades: usize,
    /// Execution reports on account streams.
    pub reports: usize,
    /// Gap, and requests with an unknown outcome, of each fault.
    pub gaps: BTreeMap<SoakFault, Vec<(Duration, usize)>>,
}

/// One replica with its own way to the database.
struct Replica {
    exchange: StagedExchange,
    proxy: Proxy,
    clock: WallClock,
    server: Option<StagedServer>,
}

struct FaultyCluster {
    replicas: Vec<Replica>,
    addresses: watch::Sender<Vec<SocketAddr>>,
    cluster: ExchangeCluster,
    started: usize,
    _folder: Folder,
}

/// Runs the whole script and prints the gaps.
///
/// # Errors
///
/// Returns an error if anything that a client saw is not in the journal, or a command was executed twice.
pub async fn run(settings: &FaultSettings) -> Result<FaultSummary> {
    println!(
        "faults: seed {}, {} faults, {REPLICAS} replicas, {} clients, and one for each replica",
        settings.seed, settings.faults, settings.clients
    );
    let mut random = Random::new(settings.seed);
    let mut site = FaultyCluster::start(settings).await?;
    let log = Arc::new(Log::default());
    let (stop, stopped) = watch::channel(false);
    let mut running = tokio::task::JoinSet::new();
    for account in 0..settings.clients {
        let addresses = site.addresses.subscribe();
        running.spawn(Trader::new(account, addresses, Arc::clone(&log), random.fork(), stopped.clone())?.run());
    }
    for at in 0..REPLICAS {
        let (addresses, account) = (site.addresses.subscribe(), settings.clients + at as u32);
        let trader = Trader::new(account, addresses, Arc::clone(&log), random.fork(), stopped.clone())?;
        running.spawn(trader.at_home(at).run());
    }
    for at in 0..REPLICAS {
        running.spawn(watcher::run(at, site.addresses.subscribe(), Arc::clone(&log), stopped.clone()));
        let (addresses, account) = (site.addresses.subscribe(), at as u32 % settings.clients.max(1));
        running.spawn(account_watcher::watch_account(at, account, addresses, Arc::clone(&log), stopped.clone()));
    }
    let (mut fold, mut summary) = (Fold::default(), FaultSummary::default());
    for (number, kind) in plan(settings.faults, &mut random).into_iter().enumerate() {
        acknowledged(&log, Instant::now()).await.with_context(|| format!("before fault {number}"))?;
        sleep(Duration::from_millis(random.between(CALM.0, CALM.1) as u64)).await;
        let _ = log.take_gap();
        let victim = site.strike(kind, &log, &mut random).await.with_context(|| format!("fault {number}, {kind:?}"))?;
        let gap = log.take_gap();
        summary.gaps.entry(kind).or_default().push(gap);
        site.all_ready().await.with_context(|| format!("after fault {number}, {kind:?}"))?;
        check(&site, &mut fold, &log, &mut summary).await.with_context(|| format!("after fault {number}, {kind:?}"))?;
        println!("  fault {number:>3} {kind:?} of {victim}: {:.1?} without an acknowledgement, {} unknown", gap.0, gap.1);
    }
    stop.send_replace(true);
    while let Some(ended) = running.join_next().await {
        ended.context("a client failed")?;
    }
    check(&site, &mut fold, &log, &mut summary).await.context("at the end")?;
    site.stop().await?;
    summary.print(settings.seed, fold.sequence());
    Ok(summary)
}

/// Every kind equally often, in a random order.
fn plan(faults: usize, random: &mut Random) -> Vec<SoakFault> {
    let mut plan: Vec<SoakFault> = KINDS.into_iter().cycle().take(faults).collect();
    for index in (1..plan.len()).rev() {
        plan.swap(index, random.below(index as u64 + 1) as usize);
    }
    plan
}

/// Waits for an acknowledgement after `moment`.
async fn acknowledged(log: &Log, moment: Instant) -> Result<()> {
    let end = Instant::now() + BACK;
    while !log.has_acknowledged_after(moment) {
        ensure!(Instant::now() < end, "nothing was acknowledged for {} s", BACK.as_secs());
        sleep(POLL).await;
    }
    Ok(())
}

/// Compares everything that clients saw with the journal.
async fn check(site: &FaultyCluster, fold: &mut Fold, log: &Log, summary: &mut FaultSummary) -> Result<()> {
    let records = log.take();
    fold.read(&site.cluster.url()).await?;
    for record in &records {
        fold.confirm(record)?;
        match record {
            Record::Placed { .. } | Record::Listed { .. } => summary.orders += 1,
            Record::Exists { .. } => summary.exists += 1,
            Record::Unknown { .. } => summary.unknown += 1,
            Record::Traded { .. } => summary.trades += 1,
            Record::Reported { .. } => summary.reports += 1,
            _ => {}
        }
    }
    fold.balanced()?;
    site.none_differs().await
}

impl Replica {
    /// Waits until it says so, and with a wrong clock until it does not lead.
    async fn knows_that_its_clock_deviates(&self, deviates: bool) -> Result<()> {
        let server = self.server.as_ref().context("the replica runs")?;
        let end = Instant::now() + BACK;
        loop {
            let says = server.metric("exchange_engine_clock_deviates").await? > 0.0;
            let leads = server.metric("exchange_engine_leader").await? > 0.0;
            if says == deviates && !(deviates && leads) {
                return Ok(());
            }
            ensure!(Instant::now() < end, "its clock deviates: {deviates}; it says {says}, and leads: {leads}");
            sleep(10 * POLL).await;
        }
    }
}

impl FaultyCluster {
    async fn start(settings: &FaultSettings) -> Result<Self> {
        let folder = Folder::throwaway("faults")?;
        let cluster = ExchangeCluster::start().await?;
        let url = cluster.url();
        let exchange = StagedExchange::new(settings.binary.clone(), folder.path(), &url, None);
        exchange.migrate().await?;
        seed(&exchange, &url).await?;
        let mut replicas = Vec::new();
        for at in 0..REPLICAS {
            let proxy = Proxy::start(&url).await?;
            let clock = WallClock::new(folder.path(), &format!("replica-{at}"))?;
            let exchange = clock.of(exchange.at(&proxy.url(&url)))?;
            replicas.push(Replica { exchange, proxy, clock, server: None });
        }
        let addresses = watch::Sender::new(Vec::new());
        let mut site = Self { replicas, addresses, cluster, started: 0, _folder: folder };
        for at in 0..REPLICAS {
            site.start_replica(at).await?;
        }
        Ok(site)
    }

    async fn start_replica(&mut self, at: usize) -> Result<()> {
        self.started += 1;
        let name = format!("serve-{}", self.started);
        let replica = &mut self.replicas[at];
        replica.server = Some(replica.exchange.serve(&name).await?);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let addresses =
            self.replicas.iter().map(|replica| replica.server.as_ref().map_or(nowhere, |server| server.api)).collect();
        self.addresses.send_replace(addresses);
        Ok(())
    }

    /// The leader in two of three cases, else any replica.
    async fn victim(&self, random: &mut Random) -> usize {
        if random.below(3) < 2 {
            for (at, replica) in self.replicas.iter().enumerate() {
                if let Some(server) = &replica.server
                    && server.metric("exchange_engine_leader").await.is_ok_and(|leads| leads > 0.0)
                {
                    return at;
                }
            }
        }
        random.below(REPLICAS as u64) as usize
    }

    /// One fault, until an order is acknowledged after it and the victim runs again. Returns the victim.
    async fn strike(&mut self, kind: SoakFault, log: &Log, random: &mut Random) -> Result<String> {
        let at = self.victim(random).await;
        let lasts = Duration::from_millis(random.between(PAUSED.0, PAUSED.1) as u64);
        match kind {
            SoakFault::Killed => {
                let server = self.replicas[at].server.take().context("the replica runs")?;
                server.child.kill().await?;
                acknowledged(log, Instant::now()).await?;
                self.start_replica(at).await?;
            }
            SoakFault::Paused => {
                let server = self.replicas[at].server.as_ref().context("the replica runs")?;
                server.child.signal(Signal::STOP);
                sleep(lasts).await;
                let back = acknowledged(log, Instant::now()).await;
                server.child.signal(Signal::CONT);
                back?;
            }
            SoakFault::Ended => {
                let server = self.replicas[at].server.take().context("the replica runs")?;
                server.stop().await?;
                self.start_replica(at).await?;
            }
            SoakFault::CutOff => {
                let url = self.cluster.url();
                let proxy = &self.replicas[at].proxy;
                proxy.cut();
                sleep(lasts).await;
                let back = acknowledged(log, Instant::now()).await;
                proxy.point_to(&url);
                back?;
            }
            SoakFault::ClockStepped => {
                let replica = &self.replicas[at];
                let step = STEPS[random.below(STEPS.len() as u64) as usize];
                replica.clock.step(step)?;
                replica.knows_that_its_clock_deviates(true).await.with_context(|| format!("a step of {step} s"))?;
                sleep(lasts).await;
                let back = acknowledged(log, Instant::now()).await;
                replica.clock.step(0)?;
                back?;
                replica.knows_that_its_clock_deviates(false).await?;
                acknowledged(log, Instant::now()).await?;
                return Ok(format!("replica {at} by {step} s"));
            }
            SoakFault::Promoted | SoakFault::TailLost => {
                let proxies = self.replicas.iter().map(|replica| &replica.proxy);
                let point_to = |url: &str| {
                    proxies.clone().for_each(|proxy| {
                        proxy.cut();
                        proxy.point_to(url);
                    });
                };
                self.cluster.promote(kind == SoakFault::TailLost, point_to).await?;
                acknowledged(log, Instant::now()).await?;
                return Ok("PostgreSQL".to_owned());
            }
        }
        acknowledged(log, Instant::now()).await?;
        Ok(format!("replica {at}"))
    }

    async fn all_ready(&mut self) -> Result<()> {
        for replica in &mut self.replicas {
            replica.server.as_mut().context("every replica runs")?.wait_until_ready().await?;
        }
        Ok(())
    }

    /// Replicas compare their states about once a second.
    async fn none_differs(&self) -> Result<()> {
        for (at, replica) in self.replicas.iter().enumerate() {
            let server = replica.server.as_ref().context("every replica runs")?;
            let differences = server.metric("exchange_follower_differing_states_total").await?;
            ensure!(differences < 1.0, "replica {at} had {differences} states that differ from the leader's");
        }
        Ok(())
    }

    async fn stop(mut self) -> Result<()> {
        for replica in &mut self.replicas {
            replica.server.take().context("every replica runs")?.stop().await?;
        }
        Ok(())
    }
}

impl FaultSummary {
    /// Requests without a known outcome during restarts by SIGTERM: none may fail.
    pub fn failed_in_restarts(&self) -> usize {
        self.gaps.get(&SoakFault::Ended).map_or(0, |gaps| gaps.iter().map(|(_, unknown)| unknown).sum())
    }

    fn print(&self, seed: u64, events: u64) {
        let Self { orders, exists, unknown, trades, reports, gaps } = self;
        println!(
            "faults: passed, seed {seed}: {orders} orders acknowledged, {exists} found by a retry, {unknown} unknown, {trades} trades"
        );
        println!("  and {reports} execution reports on streams, {events} events. Without an acknowledgement, by kind of fault:");
        for (kind, gaps) in gaps {
            let mut times: Vec<_> = gaps.iter().map(|(gap, _)| *gap).collect();
            times.sort_unstable();
            let unknown: usize = gaps.iter().map(|(_, unknown)| unknown).sum();
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            println!(
                "  {kind:?}: {} faults, median {median:.2?}, longest {longest:.2?}, {unknown} unknown outcomes",
                times.len()
            );
        }
    }
}
