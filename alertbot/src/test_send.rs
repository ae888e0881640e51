//! This module is `alertbot test-send`: it sends a real message through the real receivers, so that a missing permission or a wrong
//! number shows before an alert. It does not use the store.

use alertbot_core::{
    delivery::{Address, ChatPlace, DeliveryOutcome},
    message::{
        catalogue::{Word, word},
        notice::plain_words,
        sms,
    },
};
use jiff::Timestamp;

use crate::{
    config::{Config, Means},
    notify::{PhoneMessage, Receivers, telegram},
    routing::Routing,
};

/// The recipients. If both lists are empty: every chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    pub chats: Vec<String>,
    pub people: Vec<String>,
    /// Empty: every means of the person.
    pub by: Vec<Means>,
}

/// Returns a line for each message, and whether all were delivered.
///
/// # Errors
/// Returns an error before the first message if a name is not in the configuration.
pub async fn send_all(config: Config, targets: &Targets, now: Timestamp) -> anyhow::Result<(Vec<String>, bool)> {
    let addresses = addresses(&config, targets)?;
    let receivers = Receivers::new(&config)?;
    let routing = Routing::new(config, Vec::new(), Vec::new());
    let (mut lines, mut all) = (Vec::new(), true);
    for (name, address) in addresses {
        let outcome = send(&routing, &receivers, &address, now).await;
        let said = match &outcome {
            DeliveryOutcome::Delivered { reference } => format!("delivered ({reference})"),
            DeliveryOutcome::RateLimited { retry_after } => format!("rate limited; retry in {} s", retry_after.as_secs()),
            DeliveryOutcome::TryAgain { reason } => format!("not sent: {reason}"),
            DeliveryOutcome::Unknown { reason } => format!("may have been sent, but the answer was lost: {reason}"),
            DeliveryOutcome::Refused { reason, .. } | DeliveryOutcome::Unparsable { reason } => format!("refused: {reason}"),
            DeliveryOutcome::Moved { chat } => format!("the chat became a supergroup: set its id to {chat}"),
            DeliveryOutcome::TopicGone => "the topic does not exist: correct or remove `topic`".into(),
            DeliveryOutcome::MessageGone => "refused: the message to reply to does not exist".into(),
        };
        all &= matches!(outcome, DeliveryOutcome::Delivered { .. });
        lines.push(format!("{name}: {said}"));
    }
    Ok((lines, all))
}

fn addresses(config: &Config, targets: &Targets) -> anyhow::Result<Vec<(String, Address)>> {
    let mut addresses = Vec::new();
    let every_chat = targets.chats.is_empty() && targets.people.is_empty();
    let chats = if every_chat { config.chats.iter().map(|chat| chat.name.clone()).collect() } else { targets.chats.clone() };
    for name in chats {
        let chat = config.chat(&name).ok_or_else(|| anyhow::anyhow!("the configuration has no chat named {name}"))?;
        addresses.push((format!("chat {name}"), Routing::chat_address(chat)));
    }
    for name in &targets.people {
        let person = config.person(name).ok_or_else(|| anyhow::anyhow!("the configuration has no person named {name}"))?;
        let means: &[Means] = if targets.by.is_empty() { &Means::ALL } else { &targets.by };
        let reached = means.iter().filter_map(|means| Some((*means, Routing::person_address(person, *means)?)));
        let reached: Vec<_> = reached.map(|(means, address)| (format!("{name} by {}", means.name()), address)).collect();
        anyhow::ensure!(
            !reached.is_empty(),
            "{name} has none of the requested means: set `telegram`, or `phone` with `sms` or `voice`"
        );
        addresses.extend(reached);
    }
    anyhow::ensure!(!addresses.is_empty(), "the configuration has no chat: name --chat or --person");
    Ok(addresses)
}

async fn send(routing: &Routing, receivers: &Receivers, address: &Address, now: Timestamp) -> DeliveryOutcome {
    let missing = |name: &str| DeliveryOutcome::Refused { reason: format!("{name} cannot be used yet"), dead: true };
    let reader = routing.reader(address, now);
    let words = word(reader.language, Word::Test);
    match address {
        Address::Telegram { bot, chat, topic } => {
            let Some(telegram) = receivers.bots.get(bot) else { return missing(bot) };
            let text = telegram::ChatText { text: plain_words(words, &reader), html: true, buttons: Vec::new() };
            let place = ChatPlace { chat: *chat, topic: *topic };
            telegram.call(&telegram::TelegramCall::Send { place, text, reply_to: None, silent: false }).await
        }
        Address::Phone { provider, person, medium } => {
            let (Some(phone), Some(settings)) = (receivers.phones.get(provider), routing.config.provider(provider)) else {
                return missing(provider);
            };
            let Some(number) = routing.config.person(person).and_then(|person| person.phone.as_ref()) else {
                return missing(person);
            };
            let text = sms::fit(words, "", settings.parts as usize);
            // The id is the time, so that a provider that removes duplicates sends each test.
            let call = PhoneMessage { id: now.as_millisecond(), medium: *medium, number: number.expose().to_owned(), text };
            phone.send(&call).await
        }
    }
}
