//! What a newcomer does with the alert bot: provokes an alert, acknowledges it in the chat, ends it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

const SHOWN_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// The commands of a run, and the chat that it writes to.
pub struct Newcomer {
    /// Calls the command that `make alert` calls.
    pub local_parts: PathBuf,
    pub run: PathBuf,
    pub endpoints: Value,
}

impl Newcomer {
    /// Again and again: rates and alerts that fire are seen while they are so.
    pub async fn tries_alerts_until(&self, enough: &AtomicBool) -> Result<()> {
        while !enough.load(Ordering::Relaxed) {
            self.alert(&[]).await?;
            self.acknowledges().await?;
            self.alert(&["--end"]).await?;
        }
        Ok(())
    }

    pub async fn alert(&self, more: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.local_parts);
        command.args(["alert", "--port-base", "0", "--folder"]).arg(&self.run).args(more);
        let output = command.output().await.context("running local-parts alert")?;
        ensure!(output.status.success(), "local-parts alert {more:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Presses the button under the first card that has one, and waits until the bot has answered.
    async fn acknowledges(&self) -> Result<()> {
        let control = format!("{}/control", self.endpoints["telegram"].as_str().context("endpoints.json names no Telegram")?);
        let user = self.endpoints["alerts"]["people"][0]["id"].as_i64().context("endpoints.json names nobody")?;
        let world =
            || async { reqwest::get(format!("{control}/world")).await?.json::<Value>().await.context("reading the chats") };
        let (chat, message, button) = acknowledge_button(&world().await?).context("no card has a button to acknowledge it")?;
        let press = json!({"user": user, "chat": chat, "message": message, "button": button});
        let pressed = reqwest::Client::new().post(format!("{control}/press")).json(&press).send().await?.error_for_status()?;
        let id = pressed.json::<Value>().await?["callback_query_id"].clone();
        let deadline = Instant::now() + SHOWN_WITHIN;
        while !is_answered(&world().await?, &id) {
            if Instant::now() >= deadline {
                bail!("the bot did not answer the button within {} s", SHOWN_WITHIN.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

fn acknowledge_button(world: &Value) -> Option<(i64, i64, String)> {
    let messages = world["chats"].as_array()?.iter().filter_map(|chat| chat["messages"].as_array()).flatten();
    messages.into_iter().find_map(|message| {
        let buttons = message["keyboard"]["inline_keyboard"].as_array()?.iter().filter_map(Value::as_array).flatten();
        let mut data = buttons.filter_map(|button| button["callback_data"].as_str());
        let found = data.find(|data| data.starts_with("ack:"))?;
        Some((message["chat"].as_i64()?, message["id"].as_i64()?, found.to_owned()))
    })
}

fn is_answered(world: &Value, callback: &Value) -> bool {
    let callbacks = world["callbacks"].as_array();
    callbacks.is_some_and(|all| all.iter().any(|one| one["id"] == *callback && !one["answer"].is_null()))
}
