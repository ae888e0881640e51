//! This module polls for updates of people. It stores the next update id after the action of an update is on disk. A restart
//! repeats at most one update, and every action is safe to repeat.

use std::time::Duration;

use teloxide::{
    payloads::setters::*,
    prelude::{Request, Requester},
    types::{AllowedUpdate, Update, UpdateKind},
};
use tokio_util::sync::CancellationToken;

use super::{BotContext, buttons, command};
use crate::{store::facts, writer::Remember};

/// How long Telegram holds a request without updates; well below the client's timeout.
pub const POLL_SECONDS: u32 = 25;
/// Wait after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Runs until the shutdown. `poll` has a longer timeout than the sending bot.
pub async fn poll(context: BotContext, poll: crate::notify::telegram::Telegram, stop: CancellationToken) {
    let fact = format!("next update {}", context.bot);
    let known = facts::get(&context.writer.readers, &fact).await.ok().flatten();
    let mut next: i32 = known.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut pause = FIRST_PAUSE;
    loop {
        let asking = poll
            .bot()
            .get_updates()
            .offset(next)
            .timeout(POLL_SECONDS)
            .allowed_updates([AllowedUpdate::Message, AllowedUpdate::CallbackQuery])
            .send();
        let Some(answer) = stop.run_until_cancelled(asking).await else { return };
        let updates = match answer {
            Ok(updates) => updates,
            Err(error) => {
                context.metrics.update_failures.with_label_values(&[&context.bot]).inc();
                // The most frequent cause is another program that requests updates of this bot. Addresses contain the token.
                let error = redacted(&error.to_string(), poll.bot().token());
                tracing::warn!(error, bot = context.bot, "failed to fetch updates from Telegram; retrying");
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(LAST_PAUSE);
                continue;
            }
        };
        pause = FIRST_PAUSE;
        for update in updates {
            let id = i32::try_from(update.id.0).unwrap_or(i32::MAX - 1);
            handle(&context, update).await;
            next = id + 1;
            let remembered = Remember { name: fact.clone(), value: next.to_string() };
            if let Err(error) = context.writer.perform(remembered).await {
                tracing::error!(%error, "failed to store the next update id; a restart may repeat an update");
            }
        }
    }
}

fn redacted(text: &str, token: &str) -> String {
    text.replace(token, "(token)")
}

async fn handle(context: &BotContext, update: Update) {
    let (kind, done) = match update.kind {
        UpdateKind::CallbackQuery(query) => ("button", buttons::press(context, query).await),
        UpdateKind::Message(message) => ("message", command::write(context, message).await),
        _ => ("other", Ok(())),
    };
    context.metrics.updates.with_label_values(&[context.bot.as_str(), kind]).inc();
    if let Err(error) = done {
        tracing::error!(%error, bot = context.bot, kind, "failed to perform the action of an update");
    }
}
