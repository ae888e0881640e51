//! This module sends through Telegram with teloxide's `Bot`: its client, its address, its types of methods.
//!
//! - [`Telegram::call`] posts teloxide's payload itself. Teloxide's own executor sleeps ten seconds after a 5xx and drops the
//!   status, which determines the outcome here.
//! - This module must not retry or limit rates. `schedule` does.

mod reading;

#[cfg(test)]
mod tests;

use std::time::Duration;

use alertbot_core::delivery::{Button, ButtonAction, ChatPlace, DeliveryOutcome};
use anyhow::Context;
use reqwest_of_teloxide::{Client, Proxy, multipart};
use serde::Serialize;
use service_kit::config::Secret;
use teloxide::{
    Bot,
    payloads::{EditMessageText, SendMessage, setters::*},
    prelude::{Request, Requester},
    requests::Payload,
    types::{
        ChatId, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, MessageId, ParseMode, ReplyParameters, ThreadId,
    },
};

/// One bot.
#[derive(Clone)]
pub struct Telegram {
    bot: Bot,
    client: Client,
}

/// One call.
#[derive(Debug, Clone)]
pub enum TelegramCall {
    Send {
        place: ChatPlace,
        text: ChatText,
        reply_to: Option<i32>,
        silent: bool,
    },
    Edit {
        chat: i64,
        message: i32,
        text: ChatText,
    },
    /// PNG.
    Photo {
        place: ChatPlace,
        picture: Vec<u8>,
        caption: String,
        reply_to: Option<i32>,
    },
}

/// Content of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatText {
    pub text: String,
    /// Whether `text` is Telegram's HTML.
    pub html: bool,
    pub buttons: Vec<Vec<Button>>,
}

/// Timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

impl Telegram {
    /// `timeout` is for one call, from its start to the end of its answer.
    ///
    /// # Errors Returns an error if the address or the proxy is malformed. The error contains neither, because a proxy may
    /// contain a password.
    pub fn new(token: &Secret, api_url: &str, proxy: Option<&Secret>, timeout: Duration) -> anyhow::Result<Self> {
        let mut client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(timeout).tcp_nodelay(true).no_proxy();
        if let Some(proxy) = proxy {
            let proxy = Proxy::all(proxy.expose()).map_err(|_| anyhow::anyhow!("the proxy's address is malformed"))?;
            client = client.proxy(proxy);
        }
        let client = client.build().map_err(|error| error.without_url()).context("failed to build a client for Telegram")?;
        let url = reqwest_of_teloxide::Url::parse(api_url).context("the address of Telegram's API is malformed")?;
        let bot = Bot::with_client(token.expose(), client.clone()).set_api_url(url);
        Ok(Self { bot, client })
    }

    /// For methods that are not critical or are safe to repeat: updates, answers to buttons.
    pub fn bot(&self) -> &Bot {
        &self.bot
    }

    /// One attempt.
    pub async fn call(&self, call: &TelegramCall) -> DeliveryOutcome {
        match call {
            TelegramCall::Send { place, text, reply_to, silent } => {
                let mut payload = SendMessage::new(ChatId(place.chat), text.text.clone())
                    .disable_notification(*silent)
                    .link_preview_options(without_preview());
                payload.message_thread_id = place.topic.map(|topic| ThreadId(MessageId(topic)));
                payload.parse_mode = text.html.then_some(ParseMode::Html);
                payload.reply_parameters = reply_to.map(reply);
                payload.reply_markup = keyboard(&text.buttons).map(Into::into);
                self.post(&payload, None).await
            }
            TelegramCall::Edit { chat, message, text } => {
                let mut payload = EditMessageText::new(ChatId(*chat), MessageId(*message), text.text.clone())
                    .link_preview_options(without_preview());
                payload.parse_mode = text.html.then_some(ParseMode::Html);
                payload.reply_markup = keyboard(&text.buttons);
                match self.post(&payload, Some(*message)).await {
                    // A repeated edit leads to the same message, so a lost answer costs nothing.
                    DeliveryOutcome::Unknown { reason } => DeliveryOutcome::TryAgain { reason },
                    outcome => outcome,
                }
            }
            TelegramCall::Photo { place, picture, caption, reply_to } => self.photo(*place, picture, caption, *reply_to).await,
        }
    }

    /// Whether Telegram answers a method that changes nothing.
    pub async fn probe(&self) -> bool {
        matches!(tokio::time::timeout(PROBE_TIMEOUT, self.bot.get_me().send()).await, Ok(Ok(_)))
    }

    async fn post<P: Payload + Serialize>(&self, payload: &P, edited: Option<i32>) -> DeliveryOutcome {
        let body = match serde_json::to_vec(payload) {
            Ok(body) => body,
            Err(error) => return DeliveryOutcome::Refused { reason: error.to_string(), dead: false },
        };
        let request = self.client.post(self.method(P::NAME)).header("content-type", "application/json").body(body);
        reading::outcome(request.send().await, edited).await
    }

    async fn photo(&self, place: ChatPlace, picture: &[u8], caption: &str, reply_to: Option<i32>) -> DeliveryOutcome {
        let file = multipart::Part::bytes(picture.to_vec()).file_name("graph.png");
        let Ok(file) = file.mime_str("image/png") else {
            return DeliveryOutcome::Refused { reason: "no such type of file".into(), dead: false };
        };
        let mut form = multipart::Form::new()
            .text("chat_id", place.chat.to_string())
            .text("caption", caption.to_owned())
            .text("disable_notification", "true")
            .part("photo", file);
        if let Some(topic) = place.topic {
            form = form.text("message_thread_id", topic.to_string());
        }
        if let Some(message) = reply_to {
            form = form.text("reply_parameters", serde_json::json!(reply(message)).to_string());
        }
        reading::outcome(self.client.post(self.method("sendPhoto")).multipart(form).send().await, None).await
    }

    /// Contains the token: must not be logged.
    fn method(&self, name: &str) -> reqwest_of_teloxide::Url {
        let mut url = self.bot.api_url();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&format!("bot{}", self.bot.token())).push(name);
        }
        url
    }
}

fn without_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

/// A reply to a deleted message is sent as a message of its own.
fn reply(to: i32) -> ReplyParameters {
    ReplyParameters::new(MessageId(to)).allow_sending_without_reply()
}

pub fn keyboard(buttons: &[Vec<Button>]) -> Option<InlineKeyboardMarkup> {
    let button = |button: &Button| match &button.action {
        ButtonAction::Press(data) => Some(InlineKeyboardButton::callback(button.text.clone(), data.clone())),
        // An invalid link is omitted, because the message matters more.
        ButtonAction::Open(url) => Some(InlineKeyboardButton::url(button.text.clone(), url.parse().ok()?)),
    };
    let rows: Vec<Vec<InlineKeyboardButton>> =
        buttons.iter().map(|row| row.iter().filter_map(button).collect()).filter(|row: &Vec<_>| !row.is_empty()).collect();
    (!rows.is_empty()).then(|| InlineKeyboardMarkup::new(rows))
}
