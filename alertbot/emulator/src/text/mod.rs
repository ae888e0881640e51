//! Text as Telegram counts and formats it. Never: who sends it where.

mod entity;
mod html;
mod link;

pub use entity::{Entity, FormattedText};
pub use link::fault as link_fault;

use crate::reply::MethodError;

/// UTF-16 units of a message, after entities were taken out.
pub const TEXT_UNITS: usize = 4096;
/// UTF-16 units of a photo's or document's caption.
pub const CAPTION_UNITS: usize = 1024;
/// Bytes of a text as it arrives, markup included.
const RAW_BYTES: usize = 1 << 15;
/// Telegram keeps this many formatted places of a message and forgets the rest without a word.
const ENTITIES_KEPT: usize = 100;

pub fn utf16_units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Reads `text` in `parse_mode`, or with the entities that were given instead.
///
/// # Errors
/// In Telegram's words: `can't parse entities: …`, `text is too long`.
pub fn read_text(text: &str, parse_mode: &str, entities: Option<Vec<Entity>>) -> Result<FormattedText, MethodError> {
    if text.len() > RAW_BYTES {
        return Err(MethodError::bad_request("text is too long"));
    }
    let mut read = match parse_mode.to_ascii_lowercase().as_str() {
        "" | "none" => FormattedText { text: text.to_owned(), entities: entities.unwrap_or_default() },
        "html" => html::parse(text).map_err(|fault| MethodError::bad_request(format!("can't parse entities: {fault}")))?,
        // Telegram reads both; what is not modelled is refused, since a wrong reading would prove nothing.
        mode @ ("markdown" | "markdownv2") => {
            return Err(MethodError::not_modelled(format!("parse_mode {mode} is not modelled: use HTML")));
        }
        _ => return Err(MethodError::bad_request("unsupported parse_mode")),
    };
    read.trim();
    read.check()?;
    read.entities.truncate(ENTITIES_KEPT);
    Ok(read)
}
