//! A client library that others wrote takes the emulator for Telegram.

use std::time::Duration;

use telegram_emulator::{FaultKind, InjectedFault};
use teloxide::{
    ApiError, RequestError,
    payloads::{AnswerCallbackQuerySetters, EditMessageTextSetters, GetUpdatesSetters, SendMessageSetters, SendPhotoSetters},
    prelude::{Bot, Requester},
    types::{
        BotCommand, ChatId, InlineKeyboardButton, InlineKeyboardMarkup, InputFile, MessageId, ParseMode, ReplyParameters,
        Seconds, ThreadId, UpdateKind,
    },
};

use crate::client::{ADA, Client, FORUM, GROUP, SUPERGROUP};

fn bot(client: &Client) -> Bot {
    Bot::new(client.token.clone()).set_api_url(client.emulator.url().parse().unwrap())
}

#[tokio::test]
async fn sends_edits_answers_and_polls() {
    let client = Client::start().await;
    let bot = bot(&client);
    let me = bot.get_me().await.unwrap();
    assert_eq!(me.user.first_name, "Alerts");
    bot.delete_webhook().await.unwrap();
    assert_eq!(bot.get_webhook_info().await.unwrap().pending_update_count, 0);
    bot.set_my_commands([BotCommand::new("alerts", "what fires now")]).await.unwrap();
    assert_eq!(bot.get_my_commands().await.unwrap()[0].command, "alerts");

    let buttons = || InlineKeyboardMarkup::new([[InlineKeyboardButton::callback("Acknowledge", "ack:1")]]);
    let sent = bot
        .send_message(ChatId(FORUM), "<b>Disk full</b> on a &amp; b")
        .parse_mode(ParseMode::Html)
        .message_thread_id(ThreadId(MessageId(2)))
        .reply_markup(buttons())
        .disable_notification(true)
        .await
        .unwrap();
    assert_eq!((sent.text(), sent.entities().unwrap().len()), (Some("Disk full on a & b"), 1));
    let reply = bot.send_message(ChatId(FORUM), "still").reply_parameters(ReplyParameters::new(sent.id)).await.unwrap();
    assert_eq!(reply.reply_to_message().unwrap().id, sent.id);

    let picture =
        InputFile::memory(&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x20\x08\x06\0\0\0"[..]).file_name("graph.png");
    let photo = bot.send_photo(ChatId(FORUM), picture).caption("the last hour").await.unwrap();
    assert_eq!((photo.photo().unwrap()[0].width, photo.caption()), (64, Some("the last hour")));

    client.emulator.press(ADA, FORUM, i64::from(sent.id.0), "Acknowledge").unwrap();
    let updates = bot.get_updates().timeout(10).await.unwrap();
    let [update] = &updates[..] else { panic!("{updates:?}") };
    let UpdateKind::CallbackQuery(query) = &update.kind else { panic!("{update:?}") };
    assert_eq!((query.data.as_deref(), query.from.id.0), (Some("ack:1"), u64::try_from(ADA).unwrap()));
    bot.answer_callback_query(query.id.clone()).text("Acknowledged by Ada").await.unwrap();
    let edited = bot.edit_message_text(ChatId(FORUM), sent.id, "Taken").reply_markup(buttons()).await.unwrap();
    assert!(edited.edit_date().is_some());
    assert_eq!(bot.get_chat(ChatId(SUPERGROUP)).await.unwrap().title(), Some("Operations"));
    assert_eq!(bot.get_chat_administrators(ChatId(SUPERGROUP)).await.unwrap().len(), 1);
    let unknown: Vec<_> = client.emulator.calls().into_iter().flat_map(|call| call.unknown).collect();
    assert_eq!(unknown, [""; 0], "parameters that the emulator does not know");
}

#[tokio::test]
async fn reads_every_refusal_as_what_it_is() {
    let client = Client::start().await;
    let bot = bot(&client);
    let refused =
        async |chat: i64, text: &str| bot.send_message(ChatId(chat), text).parse_mode(ParseMode::Html).await.unwrap_err();
    assert!(matches!(refused(99, "x").await, RequestError::Api(ApiError::ChatNotFound)));
    assert!(matches!(refused(ADA, "<b>").await, RequestError::Api(ApiError::CantParseEntities(_))));
    assert!(matches!(refused(ADA, &"x".repeat(4097)).await, RequestError::Api(ApiError::MessageIsTooLong)));
    client.emulator.change(|world| {
        world.migrate(GROUP, -1_001_000_000_777).unwrap();
        world.chat_mut(SUPERGROUP).unwrap().state = telegram_emulator::ChatState::Kicked;
    });
    assert!(matches!(refused(GROUP, "x").await, RequestError::MigrateToChatId(ChatId(-1_001_000_000_777))));
    assert!(matches!(refused(SUPERGROUP, "x").await, RequestError::Api(ApiError::BotKickedFromSupergroup)));
    client.emulator.fault(InjectedFault::new(FaultKind::TooManyRequests { retry_after: Some(7) }).in_chat(ADA).times(1));
    match refused(ADA, "x").await {
        RequestError::RetryAfter(wait) => assert_eq!(wait, Seconds::from_seconds(7)),
        other => panic!("{other:?}"),
    }
    client.emulator.fault(InjectedFault::new(FaultKind::AnswerLost).in_chat(FORUM).times(1));
    assert!(matches!(refused(FORUM, "x").await, RequestError::Network(_)));
    let same = bot.send_message(ChatId(FORUM), "same").await.unwrap();
    let edit = bot.edit_message_text(ChatId(FORUM), same.id, "same").await.unwrap_err();
    assert!(matches!(edit, RequestError::Api(ApiError::MessageNotModified)));
    let sent = client.emulator.until(Duration::from_secs(1), |world| Some(world.chats[&FORUM].messages().count())).await.unwrap();
    assert_eq!(sent, 2, "the message whose answer was lost is there");
}
