//! This module handles callbacks of SMS providers: delivery reports, and messages of people such as `ACK 1234`.

use alertbot_core::{
    delivery::{Address, Medium, Words},
    incident::Incident,
    message::{
        bidi::strip,
        catalogue::{self, Text},
        place,
    },
    schedule::Urgency,
};

use crate::{
    config::{Person, Role},
    metrics::{PeopleMetrics, WebhookMetrics},
    notify::Callback,
    store::incidents,
    writer::{
        Unavailable, Writer,
        actions::{Act, Note, Perform, Performed, ReportedDelivery, Say},
    },
};

/// Context of a callback.
#[derive(Clone)]
pub struct ReplyContext {
    pub writer: Writer,
    /// For the count of callbacks.
    pub metrics: WebhookMetrics,
    pub people: PeopleMetrics,
}

/// Records a provider's callback.
///
/// # Errors Returns an error if the store did not commit. The provider must retry.
pub async fn record(context: &ReplyContext, provider: &str, callback: Callback) -> Result<(), Unavailable> {
    match callback {
        Callback::Delivery { reference, report } => {
            context.metrics.callbacks.with_label_values(&[provider, "delivery"]).inc();
            let known = context.writer.perform(ReportedDelivery { provider: provider.to_owned(), reference, report }).await?;
            if !known {
                tracing::debug!(provider, "ignored a delivery report: the message is unknown, or the report is a repetition");
            }
            Ok(())
        }
        Callback::Message { from, text } => {
            context.metrics.callbacks.with_label_values(&[provider, "message"]).inc();
            let Some(person) = context.writer.routing.config.person_of_phone(&from) else {
                tracing::warn!(provider, "ignored an SMS: no person of the configuration has its number");
                count(context, "refused");
                return context.writer.perform(refusal("an unknown sender", "sent an SMS")).await;
            };
            message(context, person, &text).await
        }
    }
}

async fn message(context: &ReplyContext, person: &Person, text: &str) -> Result<(), Unavailable> {
    let Some(code) = code(text) else {
        count(context, "nothing");
        return context.writer.perform(refusal(&person.name, "sent an SMS without ACK and a code")).await;
    };
    if person.role < Role::Responder {
        count(context, "refused");
        return context.writer.perform(refusal(&person.name, "is not allowed to acknowledge")).await;
    }
    let found = incidents::by_code(&context.writer.readers, code).await.map_err(|error| Unavailable(error.to_string()))?;
    let say = |saying: Text| catalogue::say(person.language, saying);
    let (outcome, answer) = match found {
        None => ("nothing", say(Text::CodeUnknown { code })),
        Some(incident) => {
            let act = Perform { incident: incident.id, by: person.name.clone(), act: Act::Acknowledge };
            match context.writer.perform(act).await? {
                Performed::Done(incident) => ("done", say(Text::CodeTaken { code, title: &named(&incident) })),
                Performed::Nothing(incident) if !incident.is_open() => {
                    ("nothing", say(Text::CodeEnded { code, title: &named(&incident) }))
                }
                Performed::Nothing(_) => ("nothing", say(Text::CodeYours { code })),
                Performed::Unknown => ("nothing", say(Text::CodeUnknown { code })),
            }
        }
    };
    count(context, outcome);
    let Some(address) =
        person.sms.clone().map(|provider| Address::Phone { provider, person: person.name.clone(), medium: Medium::Sms })
    else {
        return Ok(());
    };
    let words = Words { text: answer, ..Words::default() };
    context.writer.perform(Say { address, urgency: Urgency::Answer, words }).await
}

/// A reply that acknowledges is the same action as the button and the command.
fn count(context: &ReplyContext, outcome: &str) {
    context.people.actions.with_label_values(&["acknowledge", outcome]).inc();
}

fn refusal(actor: &str, detail: &str) -> Note {
    Note { actor: actor.to_owned(), action: "refused".into(), incident: None, detail: detail.to_owned() }
}

/// Parses `ACK 1234` in any case, with or without a colon, also with Persian and Arabic digits.
fn code(text: &str) -> Option<u32> {
    let mut words = text.split(|character: char| character.is_whitespace() || matches!(character, ':' | '#' | '.' | ','));
    let mut words = words.by_ref().filter(|word| !word.is_empty());
    if !matches!(words.next()?.to_lowercase().as_str(), "ack" | "acknowledge" | "تایید" | "تأیید") {
        return None;
    }
    let digits: String = words.next()?.chars().map(latin).collect();
    digits.parse().ok()
}

/// The Latin digit of a Persian or Arabic one. Other characters stay.
pub(super) fn latin(digit: char) -> char {
    let from = |zero: char| (u32::from(digit)).checked_sub(u32::from(zero)).filter(|value| *value < 10);
    let value = from('۰').or_else(|| from('٠'));
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(digit)
}

/// Its title and place.
fn named(incident: &Incident) -> String {
    let place = place::short(incident, &Default::default(), "");
    strip(&format!("{} {place}", incident.title())).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn a_code_is_parsed_in_its_usual_spellings() {
        for (text, expected) in [
            ("ACK 1234", Some(1234)),
            (" ack  1234 thanks", Some(1234)),
            ("Ack:1234", Some(1234)),
            ("ACK #1234.", Some(1234)),
            ("ACK ۱۲۳۴", Some(1234)),
            ("تأیید ١٢٣٤", Some(1234)),
            ("1234", None),
            ("ACK", None),
            ("ACK x", None),
            ("NACK 1234", None),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }
}
