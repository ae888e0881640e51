//! This job writes one account statement: orders, trades and transfers of a period as one CSV object. A repeated run on the same
//! tables produces the same object.

use anyhow::{Context, bail, ensure};
use exchange_core::{
    CUSTODY, FEES,
    money::{Decimal, Time},
    order::{AccountId, OrderStatus, OrderType, Side},
};
use futures::TryStreamExt;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, PgPool};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::JobContext;
use crate::{
    db::{
        jobs, projection,
        statements::{self, OrderLine, Statement, TradeLine, TransferLine},
    },
    media::{self, Replace},
};

/// Largest statement. For more data, request shorter periods.
const STATEMENT_BYTES_MAX: usize = 256 * 1024 * 1024;
const NANOSECONDS_PER_MICROSECOND: i128 = 1_000;

/// The columns of every line; columns that do not apply to a kind of line are empty.
const COLUMNS: [&str; 18] = [
    "record",
    "time",
    "id",
    "order_id",
    "symbol",
    "side",
    "type",
    "status",
    "price",
    "quantity",
    "executed",
    "quote_amount",
    "commission",
    "commission_asset",
    "asset",
    "amount",
    "from",
    "to",
];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteStatement {
    pub statement: Uuid,
    /// The span of the request, as a W3C `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl TaskHandler for WriteStatement {
    const IDENTIFIER: &'static str = jobs::STATEMENT;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let traceparent = self.traceparent.clone();
        super::run_in_trace(self, context, traceparent.as_deref(), write).await
    }
}

/// Requests a statement of `start..end` (microseconds). Returns the statement's id.
pub async fn enqueue_statement(pool: &PgPool, account: AccountId, start: Time, end: Time) -> anyhow::Result<Uuid> {
    ensure!(start < end, "the period must end after it begins");
    jobs::request_statement(pool, account, start, end).await
}

/// The object's name.
pub fn statement_key(statement: &Statement) -> String {
    format!("statements/{}/{}.csv", statement.account, statement.id)
}

async fn write(job: WriteStatement, context: JobContext) -> anyhow::Result<()> {
    let media = context.media()?;
    let mut connection = context.pool.acquire().await?;
    let Some(statement) = statements::find_statement(&mut connection, job.statement).await? else {
        bail!("statement {} does not exist", job.statement);
    };
    if statement.status == "ready" {
        return Ok(());
    }
    let reached = projection::position(&mut connection).await?.journal_time;
    ensure!(reached >= statement.period_end, "the tables have not reached the end of the period yet");
    let Some(csv) = render(&mut connection, &statement).await? else {
        tracing::warn!(statement = %statement.id, "the statement exceeds {STATEMENT_BYTES_MAX} bytes: request a shorter period");
        return Ok(statements::set_failed(&mut connection, statement.id).await?);
    };
    let (key, size) = (statement_key(&statement), csv.len() as u64);
    media.put(&key, csv.into(), media::CSV, Replace::Yes).await?;
    let stored = media.head(&key).await?.context("the statement was stored but does not exist")?;
    ensure!(stored.size_bytes == size, "the stored statement has {} bytes, but {size} were written", stored.size_bytes);
    statements::set_ready(&mut connection, statement.id, &key, size).await?;
    tracing::info!(statement = %statement.id, size_bytes = size, "wrote a statement");
    Ok(())
}

/// `None`: it would be too large.
async fn render(connection: &mut PgConnection, statement: &Statement) -> anyhow::Result<Option<Vec<u8>>> {
    let mut tables = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS)?;
    let mut orders = statements::orders(&mut tables, statement);
    while let Some(order) = orders.try_next().await? {
        csv.write_record(order_record(&order)?)?;
        if csv.get_ref().len() > STATEMENT_BYTES_MAX {
            return Ok(None);
        }
    }
    drop(orders);
    let mut trades = statements::trades(&mut tables, statement);
    while let Some(trade) = trades.try_next().await? {
        csv.write_record(trade_record(&trade)?)?;
        if csv.get_ref().len() > STATEMENT_BYTES_MAX {
            return Ok(None);
        }
    }
    drop(trades);
    let mut transfers = statements::transfers(&mut tables, statement);
    while let Some(transfer) = transfers.try_next().await? {
        csv.write_record(transfer_record(&transfer, statement.account)?)?;
        if csv.get_ref().len() > STATEMENT_BYTES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(csv.into_inner()?))
}

fn order_record(order: &OrderLine) -> anyhow::Result<[String; COLUMNS.len()]> {
    let none = String::new;
    Ok([
        "order".into(),
        timestamp(order.created)?,
        order.client_id.clone(),
        order.id.to_string(),
        order.symbol.clone(),
        Side::from_code(order.side as u8).context("a side")?.to_string(),
        OrderType::from_code(order.kind as u8).context("an order type")?.to_string(),
        OrderStatus::from_code(order.status as u8).context("an order status")?.to_string(),
        if order.price == 0 { none() } else { Decimal::from(order.price).to_string() },
        Decimal::from(order.quantity).to_string(),
        Decimal::from(order.executed).to_string(),
        Decimal(order.executed_quote.0).to_string(),
        none(),
        none(),
        none(),
        none(),
        none(),
        none(),
    ])
}

fn trade_record(trade: &TradeLine) -> anyhow::Result<[String; COLUMNS.len()]> {
    let none = String::new;
    Ok([
        "trade".into(),
        timestamp(trade.time)?,
        trade.id.to_string(),
        trade.order_id.to_string(),
        trade.symbol.clone(),
        if trade.is_buyer { Side::Buy } else { Side::Sell }.to_string(),
        if trade.is_maker { "MAKER" } else { "TAKER" }.into(),
        none(),
        Decimal::from(trade.price).to_string(),
        Decimal::from(trade.quantity).to_string(),
        none(),
        Decimal(trade.quote.0).to_string(),
        Decimal(trade.commission.0).to_string(),
        trade.commission_asset.clone(),
        none(),
        none(),
        none(),
        none(),
    ])
}

fn transfer_record(transfer: &TransferLine, account: i32) -> anyhow::Result<[String; COLUMNS.len()]> {
    let mut record: [String; COLUMNS.len()] = Default::default();
    record[0] = "transfer".into();
    record[1] = timestamp(transfer.time)?;
    record[2] = format!("{}.{}", transfer.sequence, transfer.line);
    record[14].clone_from(&transfer.asset);
    record[15] = Decimal(transfer.amount.0).to_string();
    record[16] = place(transfer.debit_account, transfer.debit_bucket, account).into();
    record[17] = place(transfer.credit_account, transfer.credit_bucket, account).into();
    Ok(record)
}

/// Source or destination of the money, in the form that the account may see: never the other customer's identity.
const fn place(of: i32, bucket: i16, account: i32) -> &'static str {
    match (of as AccountId, bucket) {
        (CUSTODY, _) => "custody",
        (FEES, _) => "fees",
        _ if of != account => "counterparty",
        (_, 0) => "free",
        _ => "locked",
    }
}

fn timestamp(time: Time) -> anyhow::Result<String> {
    Ok(OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * NANOSECONDS_PER_MICROSECOND)?.format(&Rfc3339)?)
}
