//! This module has the worker's short commands for operators: dead letters, statements. They print JSON on stdout, one object per
//! line. They must not do work themselves; they use the queue.

use std::time::Duration;

use anyhow::{Context, ensure};
use exchange_core::{money::Time, order::AccountId};
use serde_json::json;
use service_kit::metrics::Metrics;
use sqlx::PgPool;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{jobs::statement, queue};
use crate::{
    config,
    db::{self, session},
    media::Media,
    metrics::ObjectStorageMetrics,
};

/// Validity of a printed link.
const LINK_LIFE: Duration = Duration::from_secs(3600);
/// Maximum number of statements to print.
const STATEMENTS: i64 = 100;
const NANOSECONDS_PER_MICROSECOND: i128 = 1_000;

/// `exchange worker dead-letters [retry]`.
pub async fn dead_letters(settings: config::WorkerSettings, retry: bool) -> anyhow::Result<()> {
    let pool = connect(&settings).await?;
    let letters = queue::dead_letters(&pool).await?;
    for letter in &letters {
        println!(
            "{}",
            json!({
                "id": letter.id, "job": letter.job, "payload": letter.payload, "attempts": letter.attempts,
                "failed_at": letter.failed_at, "error": letter.last_error,
            })
        );
    }
    if retry && !letters.is_empty() {
        println!("{}", json!({ "retried": queue::retry_dead_letters(&pool).await? }));
    }
    Ok(())
}

/// `exchange worker request-statement`.
pub async fn request_statement(
    settings: config::WorkerSettings,
    account: AccountId,
    from: String,
    to: String,
) -> anyhow::Result<()> {
    ensure!(settings.object_storage.is_some(), "statements are written to object storage: set EXCHANGE_S3_*");
    let (from, to) = (moment("--from", &from)?, moment("--to", &to)?);
    let pool = connect(&settings).await?;
    ensure!(
        db::statements::account_exists(&pool, account).await?,
        "--account {account}: the account does not exist in the tables"
    );
    println!("{}", json!({ "statement": statement::enqueue_statement(&pool, account, from, to).await? }));
    Ok(())
}

/// `exchange worker statements`.
pub async fn statements(settings: config::WorkerSettings, account: AccountId) -> anyhow::Result<()> {
    let metrics = Metrics::new("exchange", env!("CARGO_PKG_VERSION"), None);
    let storage = ObjectStorageMetrics::register(&metrics)?;
    let media = settings.object_storage.as_ref().map(|settings| Media::new(settings, storage));
    let pool = connect(&settings).await?;
    for statement in db::statements::of_account(&mut *pool.acquire().await?, account, STATEMENTS).await? {
        let link = match (&media, &statement.object_key) {
            (Some(media), Some(key)) => Some(media.presigned_get(key, LINK_LIFE, &format!("{}.csv", statement.id)).await?),
            _ => None,
        };
        println!(
            "{}",
            json!({
                "statement": statement.id, "status": statement.status, "period_start": statement.period_start,
                "period_end": statement.period_end, "link": link,
            })
        );
    }
    Ok(())
}

async fn connect(settings: &config::WorkerSettings) -> anyhow::Result<PgPool> {
    let pool = session::pool(2).connect_with(settings.database.options.clone()).await;
    pool.context("the database is unreachable")
}

/// Microseconds of an RFC 3339 moment.
fn moment(argument: &str, text: &str) -> anyhow::Result<Time> {
    let moment =
        OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("{argument} {text}: write it as 2026-01-31T00:00:00Z"))?;
    Ok(Time::try_from(moment.unix_timestamp_nanos() / NANOSECONDS_PER_MICROSECOND)?)
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_are_microseconds() {
        assert_eq!(moment("--from", "1970-01-01T00:00:01.5Z").unwrap(), 1_500_000);
        assert_eq!(moment("--from", "1970-01-01T01:00:00+01:00").unwrap(), 0);
        assert!(moment("--to", "yesterday").unwrap_err().to_string().starts_with("--to yesterday"));
    }
}
