//! Answers to pressed buttons.

use serde_json::json;

use super::MethodCall;
use crate::{
    reply::{MethodError, MethodResult},
    world::World,
};

/// Characters of the text that a press is answered with.
const TEXT_CHARACTERS: usize = 200;

pub fn answer(world: &mut World, call: MethodCall<'_>) -> MethodResult {
    let text = call.parameters.text_or_empty("text");
    if text.chars().count() > TEXT_CHARACTERS {
        return Err(MethodError::bad_request("MESSAGE_TOO_LONG"));
    }
    let id = call.parameters.text_or_empty("callback_query_id");
    world.answer_callback(&id, text, call.parameters.boolean("show_alert"))?;
    Ok(json!(true))
}
