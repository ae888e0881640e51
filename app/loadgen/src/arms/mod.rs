//! This module has the servers to compare the exchange with. Each receives and checks the same requests; then it does nothing, or
//! the usual database work.
//!
//! All use axum with the same runtime, number of threads, allocator and HMAC check as the exchange. They must not match orders.

mod hello;
mod one_statement;
mod request;
mod schema;
mod transaction;

use anyhow::Result;
use axum::Router;
use axum::routing::post;
use clap::ValueEnum;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::AtomicI64;
use tokio::net::TcpListener;

/// Connections of the arms that use PostgreSQL.
const POOL: u32 = 32;

/// The work behind the HTTP edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arm {
    /// None: the answer is immediate.
    Hello,
    /// One PostgreSQL transaction per order: lock two balance rows, insert the order, insert two ledger rows, update balances.
    Naive,
    /// The same as one statement per order.
    OneStatement,
}

impl Arm {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Naive => "naive",
            Self::OneStatement => "one_statement",
        }
    }
}

/// Serves one arm on `address` until the process ends. Arms that need a database create their tables in it.
///
/// # Errors
///
/// Returns an error if the address cannot be bound or the database is unusable.
pub async fn serve(arm: Arm, address: SocketAddr, database: Option<&str>) -> Result<()> {
    let router: Router = match (arm, database) {
        (Arm::Naive, Some(url)) => request::router(open(url).await?, post(transaction::place)),
        (Arm::OneStatement, Some(url)) => request::router(open(url).await?, post(one_statement::place)),
        (Arm::Hello, _) => request::router(AtomicI64::new(0), post(hello::place)),
        (_, None) => anyhow::bail!("the arm {} needs --database", arm.name()),
    };
    let listener = TcpListener::bind(address).await?;
    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), router).await?;
    Ok(())
}

async fn open(url: &str) -> Result<sqlx::PgPool> {
    let pool = PgPoolOptions::new().max_connections(POOL).min_connections(POOL).connect_with(PgConnectOptions::from_str(url)?);
    let pool = pool.await?;
    schema::create(&pool).await?;
    Ok(pool)
}
