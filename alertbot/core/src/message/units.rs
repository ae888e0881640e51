//! This module holds lengths as Telegram counts them.

/// Longest text of a message, in UTF-16 units after decoding entities (<https://core.telegram.org/bots/api#sendmessage>).
pub const TEXT_UNITS: usize = 4096;
/// Longest caption of a photo, in the same units (<https://core.telegram.org/bots/api#sendphoto>).
pub const CAPTION_UNITS: usize = 1024;
/// Longest `callback_data` of a button (<https://core.telegram.org/bots/api#inlinekeyboardbutton>).
pub const CALLBACK_BYTES: usize = 64;
/// Longest text of an answer to a button (<https://core.telegram.org/bots/api#answercallbackquery>).
pub const ANSWER_UNITS: usize = 200;

pub fn utf16_units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
