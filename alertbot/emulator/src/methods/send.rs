//! New messages.

use serde::Deserialize;
use serde_json::Value;

use super::{
    MethodCall, chat, keyboard,
    picture::{self, FileKind},
};
use crate::{
    reply::{MethodError, MethodResult},
    text::{self, CAPTION_UNITS, Entity, FormattedText, TEXT_UNITS},
    world::{Author, Draft, Photo, World},
};

pub fn message(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let text = formatted(call, "text", "entities", TEXT_UNITS)?;
    if text.text.is_empty() {
        return Err(MethodError::bad_request("message text is empty"));
    }
    post(world, call, text, None)
}

pub fn photo(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    file(world, call, "photo", FileKind::Photo)
}

pub fn document(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    file(world, call, "document", FileKind::Document)
}

fn file(world: &mut World, call: MethodCall<'_>, name: &str, kind: FileKind) -> MethodResult {
    let caption = formatted(call, "caption", "caption_entities", CAPTION_UNITS)?;
    // The chat comes first: a file for a chat that is gone is not looked at.
    world.writable(chat(call)?)?;
    let photo = match call.parameters.file(name) {
        Some(upload) => picture::keep(world, upload, kind)?,
        None => picture::known(world, &call.parameters.text_or_empty(name), kind)?,
    };
    post(world, call, caption, Some(photo))
}

/// A text of at most `units` UTF-16 units after its entities.
pub(super) fn formatted(call: MethodCall<'_>, name: &str, entities: &str, units: usize) -> Result<FormattedText, MethodError> {
    let given: Option<Vec<Entity>> = call.parameters.object(entities, "entities")?;
    let text = call.parameters.text_or_empty(name);
    let text = text::read_text(&text, &call.parameters.text_or_empty("parse_mode"), given)?;
    if text.units() > units {
        let what = if name == "caption" { "message caption is too long" } else { "message is too long" };
        return Err(MethodError::bad_request(what));
    }
    Ok(text)
}

#[derive(Deserialize)]
struct ReplyParameters {
    message_id: i64,
    #[serde(default)]
    allow_sending_without_reply: bool,
}

fn post(world: &mut World, call: MethodCall<'_>, text: FormattedText, photo: Option<Photo>) -> MethodResult {
    let parameters = call.parameters;
    let id = chat(call)?;
    let keyboard = keyboard::read_keyboard(parameters)?;
    let there = world.writable(id)?;
    let topic = there.topic(parameters.integer("message_thread_id"))?;
    let reply = match parameters.object::<ReplyParameters>("reply_parameters", "reply parameters")? {
        Some(reply) => Some(reply),
        // As it was before reply_parameters came.
        None => parameters.integer("reply_to_message_id").filter(|id| *id > 0).map(|message_id| ReplyParameters {
            message_id,
            allow_sending_without_reply: parameters.boolean("allow_sending_without_reply"),
        }),
    };
    let reply_to = match reply {
        Some(reply) if there.message(reply.message_id).is_some() => Some(reply.message_id),
        Some(reply) if !reply.allow_sending_without_reply => {
            return Err(MethodError::bad_request("message to be replied not found"));
        }
        _ => None,
    };
    let draft = Draft {
        author: Author::Bot(call.bot),
        topic,
        text: text.text,
        entities: text.entities,
        photo,
        reply_to,
        keyboard: keyboard.filter(|keyboard: &Value| keyboard.get("inline_keyboard").is_some()),
        silent: parameters.boolean("disable_notification"),
    };
    world.post(id, draft)
}
