//! Questions about chats and their members.

use serde_json::{Value, json};

use super::{MethodCall, chat};
use crate::{
    reply::{MethodError, MethodResult},
    world::{ChatKind, World},
};

const ACTIONS: &[&str] = &["typing", "upload_photo", "upload_document", "upload_video", "record_voice", "find_location"];

pub fn action(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    world.writable(chat(call)?)?.topic(call.parameters.integer("message_thread_id"))?;
    let action = call.parameters.text_or_empty("action");
    if ACTIONS.contains(&action.as_str()) {
        Ok(json!(true))
    } else {
        Err(MethodError::bad_request("wrong parameter action in request"))
    }
}

pub fn get(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let chat = world.writable(chat(call)?)?;
    let mut shown = chat.json();
    shown["accent_color_id"] = 0.into();
    shown["max_reaction_count"] = 11.into();
    shown["accepted_gift_types"] = json!({
        "unlimited_gifts": false, "limited_gifts": false, "unique_gifts": false, "premium_subscription": false, "gifts_from_channels": false,
    });
    Ok(shown)
}

fn as_member(world: &World, chat: i64, user: i64) -> Value {
    let shown = world.person(user);
    if !world.chats[&chat].administrators.contains(&user) {
        return json!({"status": "member", "user": shown});
    }
    json!({"status": "creator", "user": shown, "is_anonymous": false})
}

pub fn administrators(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let chat = world.writable(chat(call)?)?;
    if chat.kind == ChatKind::Private {
        return Err(MethodError::bad_request("there are no administrators in the private chat"));
    }
    let id = chat.id;
    Ok(chat.administrators.clone().into_iter().map(|user| as_member(world, id, user)).collect())
}

pub fn member(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let chat = world.writable(chat(call)?)?.id;
    let user = call.parameters.integer("user_id").ok_or_else(|| MethodError::bad_request("invalid user_id specified"))?;
    if let Some(bot) = world.bots.iter().find(|bot| bot.id == user) {
        return Ok(json!({"status": "member", "user": bot.json()}));
    }
    if !world.users.contains_key(&user) {
        return Err(MethodError::bad_request("user not found"));
    }
    Ok(as_member(world, chat, user))
}

pub fn member_count(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    world.writable(chat(call)?)?;
    Ok(json!(world.users.len() + world.bots.len()))
}
