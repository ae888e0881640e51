//! This module tests two servers on one database: one leads, and the standby takes over when the leader is killed or paused. The
//! resumed leader must not be able to write. It must not create load.

use super::client::symbol;
use super::site::Site;
use crate::client::{Api, Credentials, Method};
use crate::stage::Server;
use crate::workload::{Workload, key};
use anyhow::{Result, ensure};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Time limit for a takeover: the lease's three seconds, and a margin for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(20);
/// Orders sent to the resumed server: none may be acknowledged.
const ATTEMPTS: u64 = 20;

/// Returns with a leading server in the site.
pub async fn check(site: &mut Site) -> Result<()> {
    // Killed: the standby leads immediately.
    let first = site.take()?;
    let name = site.next_name("serve");
    let mut second = site.exchange.standby(&name).await?;
    ensure!(!place(&second, 1).await?, "a standby acknowledged an order");
    ensure!(place(&first, 2).await?, "the leader refused an order while a standby ran");
    let begun = Instant::now();
    first.child.kill().await?;
    second.wait_until_ready().await?;
    ensure!(begun.elapsed() < TAKEN_OVER, "the standby took {:?} to take over from a killed leader", begun.elapsed());
    let killed = begun.elapsed();
    ensure!(place(&second, 3).await?, "the standby that took over refused an order");

    // Paused: the standby leads after the lease, and the resumed server writes nothing.
    let name = site.next_name("serve");
    let mut third = site.exchange.standby(&name).await?;
    let begun = Instant::now();
    second.child.signal(Signal::STOP);
    third.wait_until_ready().await?;
    ensure!(begun.elapsed() < TAKEN_OVER, "the standby took {:?} to take over from a paused leader", begun.elapsed());
    let paused = begun.elapsed();
    ensure!(place(&third, 4).await?, "the standby that took over from a paused leader refused an order");
    second.child.signal(Signal::CONT);
    for number in 0..ATTEMPTS {
        ensure!(!place(&second, 100 + number).await?, "a deposed server acknowledged an order");
    }
    ensure!(place(&third, 5).await?, "the leader refused an order after the deposed one woke");
    second.child.kill().await?;
    site.put(third);
    println!("  standby: took over {killed:.1?} after a kill, {paused:.1?} after a pause; the woken one wrote nothing");
    Ok(())
}

/// Whether this server acknowledged the order. No soak client uses its account.
async fn place(server: &Server, number: u64) -> Result<bool> {
    const ACCOUNT: u32 = crate::workload::ACCOUNTS - 1;
    let (api_key, secret) = key(ACCOUNT);
    let mut api = Api::new(server.api, Some(Credentials::new(&api_key, &secret)?));
    let order = Workload::new(0).order(number);
    let price = exchange_core::money::Decimal::from(order.price);
    let parameters = format!(
        "symbol={}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price={price}&newClientOrderId=standby-{number}",
        symbol(order.market)
    );
    Ok(api.signed(Method::Post, "/api/v3/order", &parameters).await.is_ok())
}
