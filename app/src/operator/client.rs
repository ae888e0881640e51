//! This module runs `exchange admin`: it reads the leader's address from the database and sends the request to the leader. It
//! must not make a change itself.

use super::arguments::AdminArguments;
use super::declare;
use super::request::{OperatorRequest, PATH};
use crate::config::AdminSettings;
use crate::db::head;
use anyhow::{Context, bail};
use sqlx::{ConnectOptions, Connection};
use std::time::Duration;

/// Longer than the server's own deadline: after it the outcome is unknown.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Runs one command; the answer is one JSON document on stdout.
///
/// # Errors
///
/// Returns the leader's refusal, or an error if no leader could be reached. After a time-out the action may have been executed:
/// repeat it, every action is safe to repeat.
pub async fn run(settings: &AdminSettings, arguments: AdminArguments) -> anyhow::Result<()> {
    if let Some(answer) = declare::run(settings, &arguments).await? {
        println!("{answer}");
        return Ok(());
    }
    let request = OperatorRequest { actor: arguments.actor, reason: arguments.reason, action: arguments.noun.action()? };
    let address = leader(settings).await?;
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().context("failed to start the HTTP client")?;
    let reply = client
        .post(format!("http://{address}{PATH}"))
        .bearer_auth(settings.internal.token.expose())
        .json(&request)
        .send()
        .await
        .with_context(|| format!("the leader at {address} did not answer: repeat the command, every action is safe to repeat"))?;
    let (status, text) = (reply.status(), reply.text().await.context("the leader's answer was truncated: repeat the command")?);
    if !status.is_success() {
        bail!("refused: {}", text.trim());
    }
    println!("{text}");
    Ok(())
}

/// Address of the leader's internal listener, from the head row.
async fn leader(settings: &AdminSettings) -> anyhow::Result<String> {
    let mut connection =
        settings.database.options.connect().await.context("EXCHANGE_DATABASE_URL: the database did not answer")?;
    let head = head::read_head(&mut connection).await.context("the head row cannot be read: run `exchange migrate` first")?;
    connection.close().await.ok();
    if head.released || head.address.is_empty() {
        bail!("no server leads: start `exchange serve` and wait until its /readyz answers 200");
    }
    Ok(head.address)
}
