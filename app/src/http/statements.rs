//! This module serves account statements: request, list, link to download. The worker writes the files, and the client reads them from
//! object storage. It must not reveal another account's statement.

use super::App;
use super::endpoint::{Call, EndpointResult, Reply};
use super::error::ApiError;
use crate::db::{
    jobs,
    statements::{self, Statement},
};
use crate::media::Media;
use exchange_core::market_data::DAY;
use exchange_core::money::Time;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// Parameters of `POST /sapi/v1/account/statement`.
pub const PERIOD: &[&str] = &["startTime", "endTime"];
/// Parameters of `GET /sapi/v1/account/statement`.
pub const LIST: &[&str] = &["limit"];
/// Parameters of `GET /sapi/v1/account/statement/link`.
pub const LINK: &[&str] = &["statementId"];

/// Longest period of one statement; longer ones would exceed its size limit.
const PERIOD_MAX: Time = 366 * DAY;
/// Statements of one account that may wait for the worker.
const PENDING_MAX: i64 = 5;
const LIST_DEFAULT: usize = 20;
const LIST_MAX: usize = 100;
/// Validity of a link.
const LINK_LIFE: Duration = Duration::from_secs(900);
const MICROSECONDS: Time = 1_000_000;
const STATEMENT_SIZE: usize = 160;

/// Where requests are stored, and where files are.
pub struct StatementFiles {
    pub pool: PgPool,
    /// `None`: not configured.
    pub media: Option<Media>,
}

/// `POST /sapi/v1/account/statement`
pub async fn request(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let time = |name| call.parameters.time(name).and_then(|time| time.ok_or_else(|| ApiError::mandatory(name)));
    let (start, end) = (time("startTime")?, time("endTime")?);
    if start >= end || end - start > PERIOD_MAX || end > call.received {
        return Err(ApiError::STATEMENT_PERIOD);
    }
    store(app)?;
    app.history.require_complete()?;
    let pending = statements::pending_statements(&mut *app.files.pool.acquire().await?, account).await?;
    if pending >= PENDING_MAX {
        return Err(ApiError::STATEMENTS_PENDING);
    }
    let id = jobs::request_statement(&app.files.pool, account, start, end).await.map_err(failed)?;
    Ok(Reply::written(64, |json| json.object(|json| json.key("statementId").text(&id.to_string()))))
}

/// `GET /sapi/v1/account/statement`
pub async fn list(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let limit = call.parameters.limit(LIST_DEFAULT, LIST_MAX)?;
    let mut connection = app.files.pool.acquire().await?;
    let found = statements::of_account(&mut connection, account, limit as i64).await?;
    Ok(Reply::written(16 + STATEMENT_SIZE * found.len(), |json| {
        json.array(&found, |json, statement: &Statement| {
            json.object(|json| {
                json.key("statementId").text(&statement.id.to_string());
                json.key("status").text(&statement.status);
                json.key("startTime").integer(call.time_unit.show(statement.period_start));
                json.key("endTime").integer(call.time_unit.show(statement.period_end));
            });
        });
    }))
}

/// `GET /sapi/v1/account/statement/link`
pub async fn link(app: &App, call: &Call<'_>) -> EndpointResult {
    let account = call.account()?;
    let id = call.parameters.mandatory("statementId")?;
    let id = Uuid::try_parse(id).map_err(|_| ApiError::illegal("statementId", "a UUID"))?;
    let media = store(app)?;
    let found = statements::find_statement(&mut *app.files.pool.acquire().await?, id).await?;
    // The answer must not show whether another account has the statement.
    let statement = found.filter(|statement| i64::from(statement.account) == i64::from(account));
    let key = statement.ok_or(ApiError::NO_SUCH_STATEMENT)?.object_key.ok_or(ApiError::STATEMENT_NOT_READY)?;
    let url = media.presigned_get(&key, LINK_LIFE, &format!("{id}.csv")).await.map_err(ApiError::unavailable)?;
    let expires = call.received + LINK_LIFE.as_secs() as Time * MICROSECONDS;
    Ok(Reply::written(512, |json| {
        json.object(|json| {
            json.key("statementId").text(&id.to_string());
            json.key("url").text(&url);
            json.key("expirationTimestamp").integer(call.time_unit.show(expires));
        });
    }))
}

fn store(app: &App) -> Result<&Media, ApiError> {
    app.files.media.as_ref().ok_or_else(|| ApiError::unavailable("object storage is not configured: set EXCHANGE_S3_*"))
}

fn failed(error: anyhow::Error) -> ApiError {
    match error.downcast::<sqlx::Error>() {
        Ok(error) => error.into(),
        Err(error) => ApiError::internal(error),
    }
}
