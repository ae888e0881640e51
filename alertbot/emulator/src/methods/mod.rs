//! The table of methods. A method that is not here is answered as one that does not exist.

mod account;
mod callback;
mod chat;
mod edit;
mod keyboard;
mod picture;
mod send;
mod updates;

use crate::{
    parameters::CallParameters,
    reply::{MethodError, MethodResult},
    world::World,
};

pub use updates::{Poll, begin as begin_poll, poll};

/// One call: who, with what.
#[derive(Debug, Clone, Copy)]
pub struct MethodCall<'a> {
    /// The bot's place among the bots.
    pub bot: usize,
    pub parameters: &'a CallParameters,
}

pub struct Method {
    /// In lower case: Telegram does not care.
    pub name: &'static str,
    pub parameters: &'static [&'static str],
    /// Whether it counts as a message.
    pub counted: bool,
    pub run: fn(&mut World, MethodCall<'_>) -> MethodResult,
}

/// What every message takes.
macro_rules! sending {
    ($($own:literal),*) => {
        &["business_connection_id", "chat_id", "message_thread_id", "direct_messages_topic_id", "disable_notification", "protect_content",
          "allow_paid_broadcast", "message_effect_id", "suggested_post_parameters", "reply_parameters", "reply_markup", "parse_mode",
          "reply_to_message_id", "allow_sending_without_reply", $($own),*]
    };
}

/// What names a message to change.
macro_rules! changing {
    ($($own:literal),*) => { &["business_connection_id", "chat_id", "message_id", "inline_message_id", "reply_markup", $($own),*] };
}

const fn counted(
    name: &'static str,
    parameters: &'static [&'static str],
    run: fn(&mut World, MethodCall<'_>) -> MethodResult,
) -> Method {
    Method { name, parameters, counted: true, run }
}

const fn free(
    name: &'static str,
    parameters: &'static [&'static str],
    run: fn(&mut World, MethodCall<'_>) -> MethodResult,
) -> Method {
    Method { name, parameters, counted: false, run }
}

pub const METHODS: &[Method] = &[
    counted("sendmessage", sending!["text", "entities", "link_preview_options", "disable_web_page_preview"], send::message),
    counted(
        "sendphoto",
        sending!["photo", "caption", "caption_entities", "show_caption_above_media", "has_spoiler"],
        send::photo,
    ),
    counted(
        "senddocument",
        sending!["document", "thumbnail", "caption", "caption_entities", "disable_content_type_detection"],
        send::document,
    ),
    counted(
        "editmessagetext",
        changing!["text", "parse_mode", "entities", "link_preview_options", "disable_web_page_preview"],
        edit::text,
    ),
    counted(
        "editmessagecaption",
        changing!["caption", "parse_mode", "caption_entities", "show_caption_above_media"],
        edit::caption,
    ),
    counted("editmessagereplymarkup", changing![], edit::keyboard),
    counted("editmessagemedia", changing!["media"], edit::media),
    free("deletemessage", &["chat_id", "message_id"], edit::delete),
    free("deletemessages", &["chat_id", "message_ids"], edit::delete_many),
    free("pinchatmessage", &["business_connection_id", "chat_id", "message_id", "disable_notification"], edit::pin),
    free("unpinchatmessage", &["business_connection_id", "chat_id", "message_id"], edit::unpin),
    free("answercallbackquery", &["callback_query_id", "text", "show_alert", "url", "cache_time"], callback::answer),
    free("sendchataction", &["business_connection_id", "chat_id", "message_thread_id", "action"], chat::action),
    free("getchat", &["chat_id"], chat::get),
    free("getchatadministrators", &["chat_id"], chat::administrators),
    free("getchatmember", &["chat_id", "user_id"], chat::member),
    free("getchatmembercount", &["chat_id"], chat::member_count),
    free("getme", &[], account::me),
    free("setmycommands", &["commands", "scope", "language_code"], account::set_commands),
    free("getmycommands", &["scope", "language_code"], account::commands),
    free("deletemycommands", &["scope", "language_code"], account::delete_commands),
    free("getfile", &["file_id"], account::file),
    free("getupdates", &["offset", "limit", "timeout", "allowed_updates"], updates::not_here),
    free("deletewebhook", &["drop_pending_updates"], updates::delete_webhook),
    free("getwebhookinfo", &[], updates::webhook_info),
    free("setwebhook", &["url"], updates::set_webhook),
];

pub fn find(name: &str) -> Result<&'static Method, MethodError> {
    METHODS.iter().find(|method| method.name == name).ok_or_else(|| MethodError::not_found("method not found"))
}

/// The chat that a call names, as it names it; `None` when it names none.
pub fn named_chat(parameters: &CallParameters) -> Option<i64> {
    parameters.integer("chat_id")
}

/// The chat that a call must name.
fn chat(call: MethodCall<'_>) -> Result<i64, MethodError> {
    let named = call.parameters.text_or_empty("chat_id");
    if named.trim().is_empty() {
        return Err(MethodError::bad_request("chat_id is empty"));
    }
    call.parameters.integer("chat_id").ok_or_else(|| MethodError::bad_request("chat not found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_once_and_in_lower_case() {
        for method in METHODS {
            assert_eq!(method.name, method.name.to_lowercase());
            assert_eq!(METHODS.iter().filter(|other| other.name == method.name).count(), 1, "{}", method.name);
        }
        assert_eq!(find("sendmessage").unwrap().name, "sendmessage");
        assert_eq!(find("sendpigeon").err().unwrap().code, 404);
    }
}
