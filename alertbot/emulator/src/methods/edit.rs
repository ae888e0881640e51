//! Changes of messages. An edit makes no sound, and counts as a message all the same.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    MethodCall, chat, keyboard,
    picture::{self, FileKind},
    send::formatted,
};
use crate::{
    reply::{MethodError, MethodResult},
    text::{self, CAPTION_UNITS, TEXT_UNITS},
    world::{Author, ChatMessage, World},
};

pub fn text(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let text = formatted(call, "text", "entities", TEXT_UNITS)?;
    if text.text.is_empty() {
        return Err(MethodError::bad_request("message text is empty"));
    }
    change(world, call, |message| {
        if message.photo.is_some() {
            return Err(MethodError::bad_request("there is no text in the message to edit"));
        }
        (message.text, message.entities) = (text.text, text.entities);
        Ok(())
    })
}

pub fn caption(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let caption = formatted(call, "caption", "caption_entities", CAPTION_UNITS)?;
    change(world, call, |message| {
        if message.photo.is_none() {
            return Err(MethodError::bad_request("there is no caption in the message to edit"));
        }
        (message.text, message.entities) = (caption.text, caption.entities);
        Ok(())
    })
}

pub fn keyboard(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    change(world, call, |_| Ok(()))
}

#[derive(Deserialize)]
struct Media {
    #[serde(rename = "type")]
    kind: String,
    media: String,
    #[serde(default)]
    caption: String,
    #[serde(default)]
    parse_mode: String,
}

pub fn media(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let media: Media =
        call.parameters.object("media", "InputMedia")?.ok_or_else(|| MethodError::bad_request("input media is not specified"))?;
    if media.kind != "photo" {
        return Err(MethodError::not_modelled(format!("media of type {:?} is not modelled: use photo", media.kind)));
    }
    let caption = text::read_text(&media.caption, &media.parse_mode, None)?;
    if caption.units() > CAPTION_UNITS {
        return Err(MethodError::bad_request("message caption is too long"));
    }
    let photo = match call.parameters.attached(&media.media) {
        Some(upload) => picture::keep(world, upload, FileKind::Photo)?,
        None => picture::known(world, &media.media, FileKind::Photo)?,
    };
    change(world, call, |message| {
        (message.text, message.entities, message.photo) = (caption.text, caption.entities, Some(photo));
        Ok(())
    })
}

fn message_id(call: MethodCall<'_>) -> Result<i64, MethodError> {
    call.parameters.integer("message_id").ok_or_else(|| MethodError::bad_request("message identifier is not specified"))
}

fn change(
    world: &mut World,
    call: MethodCall<'_>,
    change: impl FnOnce(&mut ChatMessage) -> Result<(), MethodError>,
) -> MethodResult {
    let (chat, id) = (chat(call)?, message_id(call)?);
    let keyboard = keyboard::read_keyboard(call.parameters)?;
    world.writable(chat)?;
    let there = world.chat_mut(chat)?.message(id).ok_or_else(|| MethodError::bad_request("message to edit not found"))?;
    if there.author != Author::Bot(call.bot) {
        return Err(MethodError::bad_request("message can't be edited"));
    }
    let mut changed = there.clone();
    change(&mut changed)?;
    // No keyboard in the call takes away the one that is there.
    changed.keyboard = keyboard;
    if changed == *there {
        return Err(MethodError::bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply \
             markup of the message",
        ));
    }
    if changed.text != there.text {
        changed.earlier.push(there.text.clone());
    }
    changed.edited = Some(World::date());
    let shown = world.json(&changed);
    if let Some(place) = world.chat_mut(chat)?.message_mut(id) {
        *place = changed;
    }
    Ok(shown)
}

pub fn delete(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let (chat, id) = (chat(call)?, message_id(call)?);
    world.writable(chat)?;
    let message = world.chat_mut(chat)?.message_mut(id).ok_or_else(|| MethodError::bad_request("message to delete not found"))?;
    message.deleted = true;
    Ok(json!(true))
}

pub fn delete_many(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let chat = chat(call)?;
    world.writable(chat)?;
    let ids: Vec<i64> = call.parameters.object("message_ids", "message identifiers")?.unwrap_or_default();
    for id in ids {
        // One that is gone is skipped.
        if let Some(message) = world.chat_mut(chat)?.message_mut(id) {
            message.deleted = true;
        }
    }
    Ok(json!(true))
}

pub fn pin(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    set_pinned(world, call, true, "message to pin not found")
}

pub fn unpin(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    set_pinned(world, call, false, "message to unpin not found")
}

fn set_pinned(world: &mut World, call: MethodCall<'_>, pinned: bool, missing: &str) -> Result<Value, MethodError> {
    let (chat, id) = (chat(call)?, message_id(call)?);
    world.writable(chat)?;
    world.chat_mut(chat)?.message_mut(id).ok_or_else(|| MethodError::bad_request(missing))?.pinned = pinned;
    Ok(json!(true))
}
