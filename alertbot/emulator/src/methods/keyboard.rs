//! Reply markup: an inline keyboard is checked button by button.

use serde_json::Value;

use crate::{parameters::CallParameters, reply::MethodError, text};

/// Bytes of `callback_data`.
const DATA_BYTES: usize = 64;
const BUTTONS: usize = 100;
const BUTTONS_IN_A_ROW: usize = 8;
/// What a button can do here.
const ACTIONS: &[&str] = &["callback_data", "url", "copy_text", "switch_inline_query", "switch_inline_query_current_chat"];

/// # Errors
/// In Telegram's words.
pub(super) fn read_keyboard(parameters: &CallParameters) -> Result<Option<Value>, MethodError> {
    let Some(markup) = parameters.object::<Value>("reply_markup", "reply keyboard markup")? else { return Ok(None) };
    if !markup.is_object() {
        return Err(MethodError::bad_request("object expected as reply markup"));
    }
    let Some(rows) = markup.get("inline_keyboard") else { return Ok(Some(markup)) };
    let wrong = MethodError::bad_request;
    let rows = rows.as_array().ok_or_else(|| wrong("field \"inline_keyboard\" must be of type Array"))?;
    let mut count = 0;
    for row in rows {
        let row = row.as_array().ok_or_else(|| wrong("field \"inline_keyboard\" must be an Array of Arrays"))?;
        if row.len() > BUTTONS_IN_A_ROW {
            return Err(wrong("REPLY_MARKUP_TOO_LONG"));
        }
        count += row.len();
        for button in row {
            check(button)?;
        }
    }
    if count > BUTTONS {
        return Err(wrong("reply markup is too long"));
    }
    // An empty keyboard is none.
    Ok((count > 0).then_some(markup))
}

fn check(button: &Value) -> Result<(), MethodError> {
    let unparsable = |wrong: &str| MethodError::bad_request(format!("can't parse inline keyboard button: {wrong}"));
    let object = button.as_object().ok_or_else(|| unparsable("InlineKeyboardButton must be an Object"))?;
    let text = object.get("text").and_then(Value::as_str).ok_or_else(|| unparsable("Can't find field \"text\""))?;
    if text.trim().is_empty() {
        return Err(unparsable("Field \"text\" must be non-empty"));
    }
    let actions: Vec<_> = ACTIONS.iter().filter(|action| object.contains_key(**action)).collect();
    if actions.len() != 1 {
        return Err(unparsable("Text buttons are unallowed in the inline keyboard"));
    }
    if let Some(data) = object.get("callback_data").and_then(Value::as_str)
        && !(1..=DATA_BYTES).contains(&data.len())
    {
        return Err(MethodError::bad_request("BUTTON_DATA_INVALID"));
    }
    if let Some(link) = object.get("url").and_then(Value::as_str)
        && let Some(fault) = text::link_fault(link)
    {
        return Err(MethodError::bad_request(format!("inline keyboard button URL '{link}' is invalid: {fault}")));
    }
    Ok(())
}
