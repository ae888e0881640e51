//! `alertbot test-send`: a real message by the real ways, so that a missing permission or a wrong number is found before an
//! alert finds it. Nothing of it enters the store.

use jiff::Timestamp;

use crate::{
    config::{Config, Means},
    message::{
        catalogue::{Word, word},
        notice::plain_words,
        sms,
    },
    notify::{Address, Call, Outcome, telegram},
    sender::Receivers,
    writer::Routing,
};

/// To whom. Nobody named: every chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    pub chats: Vec<String>,
    pub people: Vec<String>,
    /// Empty: every way that a person has.
    pub by: Vec<Means>,
}

/// One line for each message that was sent or was not, and whether all were.
///
/// # Errors
/// When a name is not in the configuration, before anything is sent.
pub async fn run(config: Config, targets: &Targets, now: Timestamp) -> anyhow::Result<(Vec<String>, bool)> {
    let addresses = addresses(&config, targets)?;
    let receivers = Receivers::new(&config)?;
    let routing = Routing::new(config, Vec::new(), Vec::new());
    let (mut lines, mut all) = (Vec::new(), true);
    for (name, address) in addresses {
        let outcome = send(&routing, &receivers, &address, now).await;
        let said = match &outcome {
            Outcome::Delivered { reference } => format!("delivered ({reference})"),
            Outcome::RateLimited { retry_after } => format!("told to wait {} s; try again then", retry_after.as_secs()),
            Outcome::TryAgain { reason } => format!("not sent: {reason}"),
            Outcome::Unknown { reason } => format!("perhaps sent, the answer was lost: {reason}"),
            Outcome::Refused { reason, .. } | Outcome::Unparsable { reason } => format!("refused: {reason}"),
            Outcome::Moved { chat } => format!("the chat is a supergroup now: set its id to {chat}"),
            Outcome::TopicGone => "the topic does not exist: correct or remove `topic`".into(),
            Outcome::MessageGone => "refused: the message to reply to is gone".into(),
        };
        all &= matches!(outcome, Outcome::Delivered { .. });
        lines.push(format!("{name}: {said}"));
    }
    Ok((lines, all))
}

fn addresses(config: &Config, targets: &Targets) -> anyhow::Result<Vec<(String, Address)>> {
    let mut addresses = Vec::new();
    let every_chat = targets.chats.is_empty() && targets.people.is_empty();
    let chats = if every_chat { config.chats.iter().map(|chat| chat.name.clone()).collect() } else { targets.chats.clone() };
    for name in chats {
        let chat = config.chat(&name).ok_or_else(|| anyhow::anyhow!("no chat of the configuration is called {name}"))?;
        addresses.push((format!("chat {name}"), Routing::chat_address(chat)));
    }
    for name in &targets.people {
        let person = config.person(name).ok_or_else(|| anyhow::anyhow!("no person of the configuration is called {name}"))?;
        let means: &[Means] = if targets.by.is_empty() { &Means::ALL } else { &targets.by };
        let reached = means.iter().filter_map(|means| Some((*means, Routing::person_address(person, *means)?)));
        let reached: Vec<_> = reached.map(|(means, address)| (format!("{name} by {}", means.name()), address)).collect();
        anyhow::ensure!(!reached.is_empty(), "{name} has none of the ways asked for: see `telegram`, `phone`, `sms` and `voice`");
        addresses.extend(reached);
    }
    anyhow::ensure!(!addresses.is_empty(), "there is nobody to send to: name --chat or --person");
    Ok(addresses)
}

async fn send(routing: &Routing, receivers: &Receivers, address: &Address, now: Timestamp) -> Outcome {
    let missing = |name: &str| Outcome::Refused { reason: format!("{name} cannot be used yet"), dead: true };
    let reader = routing.reader(address, now);
    let words = word(reader.language, Word::Test);
    match address {
        Address::Telegram { bot, chat, topic } => {
            let Some(telegram) = receivers.bots.get(bot) else { return missing(bot) };
            let text = telegram::Text { text: plain_words(words, &reader), html: true, buttons: Vec::new() };
            let place = telegram::Place { chat: *chat, topic: *topic };
            telegram.call(&telegram::Call::Send { place, text, reply_to: None, silent: false }).await
        }
        Address::Phone { provider, person, medium } => {
            let (Some(phone), Some(settings)) = (receivers.phones.get(provider), routing.config.provider(provider)) else {
                return missing(provider);
            };
            let Some(number) = routing.config.person(person).and_then(|person| person.phone.as_ref()) else {
                return missing(person);
            };
            let text = sms::fit(words, "", settings.parts as usize);
            // The time as its number: a provider that knows numbers again sends each test.
            let call = Call { id: now.as_millisecond(), medium: *medium, number: number.expose().to_owned(), text };
            phone.send(&call).await
        }
    }
}
