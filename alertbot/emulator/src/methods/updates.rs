//! Updates by long polling. Webhooks of bots are not modelled and said to be unset.

use std::time::Duration;

use serde_json::json;

use super::MethodCall;
use crate::{
    reply::{MethodError, MethodResult},
    world::World,
};

const LIMIT: i64 = 100;
/// Longest that a poll waits, whatever it asks for.
const TIMEOUT_SECONDS: i64 = 50;

/// What one look for updates found.
pub enum Poll {
    Answer(MethodResult),
    /// Nothing yet.
    Wait,
}

/// How long a poll may wait, and its number: a newer poll ends this one.
pub fn begin(world: &mut World, call: MethodCall<'_>) -> Result<(Duration, u64), MethodError> {
    let allowed: Option<Vec<String>> = call.parameters.object("allowed_updates", "allowed updates")?;
    let bot = &mut world.bots[call.bot];
    if let Some(allowed) = allowed {
        bot.updates.allow(allowed);
    }
    bot.polls += 1;
    let seconds = call.parameters.integer("timeout").unwrap_or(0).clamp(0, TIMEOUT_SECONDS);
    Ok((Duration::from_secs(seconds.unsigned_abs()), bot.polls))
}

/// `last` when the time is up.
pub fn poll(world: &mut World, call: MethodCall<'_>, number: u64, last: bool) -> Poll {
    let bot = &mut world.bots[call.bot];
    if bot.polls != number {
        let wrong = "terminated by other getUpdates request; make sure that only one bot instance is running";
        return Poll::Answer(Err(MethodError::conflict(wrong)));
    }
    let limit = call.parameters.integer("limit").unwrap_or(LIMIT).clamp(1, LIMIT);
    let updates = bot.updates.starting_at(call.parameters.integer("offset").unwrap_or(0), usize::try_from(limit).unwrap_or(1));
    if updates.is_empty() && !last { Poll::Wait } else { Poll::Answer(Ok(updates.into())) }
}

/// Long polling waits; the dispatcher does it.
pub(super) fn not_here(_: &mut World, _: MethodCall<'_>) -> MethodResult {
    Err(MethodError::not_modelled("getUpdates is answered by the dispatcher"))
}

pub(super) fn delete_webhook(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    if call.parameters.boolean("drop_pending_updates") {
        world.bots[call.bot].updates.clear();
    }
    Ok(json!(true))
}

pub(super) fn webhook_info(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    Ok(json!({"url": "", "has_custom_certificate": false, "pending_update_count": world.bots[call.bot].updates.count()}))
}

pub(super) fn set_webhook(_: &mut World, call: MethodCall<'_>) -> MethodResult {
    if call.parameters.text_or_empty("url").is_empty() {
        return Ok(json!(true));
    }
    Err(MethodError::not_modelled("webhooks of bots are not modelled: use getUpdates"))
}
