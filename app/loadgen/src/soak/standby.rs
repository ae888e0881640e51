//! This module tests two servers on one database: one leads, and the follower takes over when the leader is killed or paused. The
//! resumed leader must follow. It must not create load.

use super::client::symbol;
use super::site::Site;
use crate::client::{Api, Credentials, HttpMethod};
use crate::stage::StagedServer;
use crate::workload::{Workload, key};
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Time limit for a takeover: the lease's three seconds, and a margin for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(20);
/// Returns with a leading server in the site.
pub async fn check(site: &mut Site) -> Result<()> {
    // Killed: the follower leads when the leader's connection is gone.
    let first = site.take()?;
    let name = site.next_name("serve");
    let second = site.exchange.standby(&name).await?;
    ensure!(place(&second, 1).await?, "a follower did not forward an order");
    ensure!(place(&first, 2).await?, "the leader refused an order while a follower ran");
    first.child.kill().await?;
    let killed = accepts_again(&second, 100).await.context("after the leader was killed")?;

    // Paused: the follower leads after the lease. The resumed server follows, and forwards.
    let name = site.next_name("serve");
    let third = site.exchange.standby(&name).await?;
    second.child.signal(Signal::STOP);
    let paused = accepts_again(&third, 200).await.context("after the leader was paused")?;
    second.child.signal(Signal::CONT);
    accepts_again(&second, 300).await.context("the deposed server that woke does not forward")?;
    ensure!(place(&third, 3).await?, "the leader refused an order after the deposed one woke");
    second.child.kill().await?;
    site.put(third);
    println!("  takeover: {killed:.1?} after a kill, {paused:.1?} after a pause; the woken server forwards");
    Ok(())
}

/// Time until the server acknowledges an order; `numbers` is the first of the attempts.
async fn accepts_again(server: &StagedServer, numbers: u64) -> Result<Duration> {
    let begun = Instant::now();
    for number in numbers.. {
        if place(server, number).await? {
            break;
        }
        ensure!(begun.elapsed() < TAKEN_OVER, "no order is acknowledged within {TAKEN_OVER:?}");
    }
    Ok(begun.elapsed())
}

/// Whether this server acknowledged the order. No soak client uses its account.
async fn place(server: &StagedServer, number: u64) -> Result<bool> {
    const ACCOUNT: u32 = crate::workload::ACCOUNTS - 1;
    let (api_key, secret) = key(ACCOUNT);
    let mut api = Api::new(server.api, Some(Credentials::new(&api_key, &secret)?));
    let order = Workload::new(0).order(number);
    let price = exchange_core::money::Decimal::from(order.price);
    let parameters = format!(
        "symbol={}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price={price}&newClientOrderId=standby-{number}",
        symbol(order.market)
    );
    Ok(api.signed(HttpMethod::Post, "/api/v3/order", &parameters).await.is_ok())
}
