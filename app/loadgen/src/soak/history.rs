//! This module reads an account's orders and trades from the API and compares them with earlier answers. It must not use the
//! journal.

use super::client::symbol;
use super::record::{Record, RecordedFill};
use crate::client::{Api, CallError, Credentials, HttpMethod};
use crate::workload::key;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Rows of one page, the API's maximum.
const PAGE: usize = 1_000;
/// Time limit until history contains an acknowledged order (in the tables, or in memory above them).
const DEADLINE: Duration = Duration::from_secs(30);

/// The answers to one account about one market, by id.
#[derive(Default)]
struct Told<'a> {
    placed: BTreeMap<u64, &'a str>,
    canceled: Vec<u64>,
    /// With the id of its order.
    fills: BTreeMap<u64, (u64, &'a RecordedFill)>,
}

/// Compares every record with the API at `address`.
pub async fn confirm(address: SocketAddr, records: &[Record]) -> Result<()> {
    let mut all: BTreeMap<(u32, usize), Told<'_>> = BTreeMap::new();
    for record in records {
        match record {
            Record::Placed { account, market, order, client_id, fills, .. } => {
                let told = all.entry((*account, *market)).or_default();
                told.placed.insert(*order, client_id);
                told.fills.extend(fills.iter().map(|fill| (fill.trade, (*order, fill))));
            }
            Record::Canceled { account, market, order } => {
                all.entry((*account, *market)).or_default().canceled.push(*order);
            }
            _ => {}
        }
    }
    for ((account, market), told) in &all {
        let (api_key, secret) = key(*account);
        let mut api = Api::new(address, Some(Credentials::new(&api_key, &secret)?));
        one(&mut api, &symbol(*market), told).await.with_context(|| format!("account {account} on {}", symbol(*market)))?;
    }
    Ok(())
}

async fn one(api: &mut Api, symbol: &str, told: &Told<'_>) -> Result<()> {
    let first = told.placed.keys().chain(&told.canceled).min().copied();
    if let Some(first) = first {
        let orders = pages(api, "/api/v3/allOrders", symbol, "orderId", "orderId", first).await?;
        for (order, client_id) in &told.placed {
            let found = orders.get(order).with_context(|| format!("the API does not list order {order}"))?;
            ensure!(found["clientOrderId"] == *client_id, "the API returns order {order} as {found}, expected {client_id}");
        }
        for order in &told.canceled {
            let status = orders.get(order).map(|order| &order["status"]);
            ensure!(
                status.is_some_and(|status| status == "CANCELED"),
                "the API returns the cancelled order {order} as {status:?}"
            );
        }
    }
    if let Some(first) = told.fills.keys().next() {
        let trades = pages(api, "/api/v3/myTrades", symbol, "fromId", "id", *first).await?;
        for (trade, (order, fill)) in &told.fills {
            let found = trades.get(trade).with_context(|| format!("the API does not list trade {trade}"))?;
            let number = |field: &str| found[field].as_str().and_then(|text| exchange_core::money::parse(text).ok());
            let same = number("price") == Some(fill.price) && number("qty") == Some(fill.quantity);
            ensure!(same, "the API returns {fill:?} of order {order} as {found}");
        }
    }
    Ok(())
}

/// Every row from id `first` on, by id.
async fn pages(api: &mut Api, path: &str, symbol: &str, parameter: &str, id: &str, first: u64) -> Result<BTreeMap<u64, Value>> {
    let (mut rows, mut from) = (BTreeMap::new(), first);
    loop {
        let page = patiently(api, path, &format!("symbol={symbol}&{parameter}={from}&limit={PAGE}")).await?;
        let page = page.as_array().context("history did not return a list")?;
        for row in page {
            let number = row[id].as_u64().with_context(|| format!("a row without {id}: {row}"))?;
            from = from.max(number + 1);
            rows.insert(number, row.clone());
        }
        if page.len() < PAGE {
            return Ok(rows);
        }
    }
}

/// History may be unavailable briefly after a blow, but must return.
async fn patiently(api: &mut Api, path: &str, parameters: &str) -> Result<Value> {
    let end = Instant::now() + DEADLINE;
    loop {
        match api.signed(HttpMethod::Get, path, parameters).await {
            Ok(reply) => return Ok(reply),
            Err(error @ CallError::Refused { status: 400..500, .. }) => return Err(error.into()),
            Err(error) => ensure!(Instant::now() < end, "{path} did not answer: {error}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}
