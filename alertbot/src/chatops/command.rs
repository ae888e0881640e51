//! This module handles commands: /alerts /silences /oncall /ack /release /assign /override /unsilence /graph /id /help.

use alertbot_core::{
    delivery::{Address, Words},
    incident::{Incident, IncidentId},
    message::{
        Reader,
        catalogue::{Text, say},
        notice::plain_words,
        place,
        split::line,
    },
};
use teloxide::types::Message;

use super::{
    BotContext,
    authority::{self, Asker, address},
    buttons::{nothing, refused},
    lists,
};
use crate::{
    config::{Person, Role},
    store::{incidents, threads},
    writer::{
        Unavailable,
        actions::{Act, Draw, Perform, Performed},
    },
};

/// Longest expression of a chart.
const EXPRESSION_BYTES: usize = 2000;

/// A command and its arguments.
#[derive(Debug, PartialEq, Eq)]
struct ChatCommand<'a> {
    /// In lower case: a phone's keyboard writes `/Ack`.
    name: String,
    rest: &'a str,
}

/// `None` if the text is not a command, or is for another bot of the group.
fn read<'a>(text: &'a str, username: &str) -> Option<ChatCommand<'a>> {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let word = word.strip_prefix('/')?;
    let (name, to) = word.split_once('@').unwrap_or((word, username));
    (to.eq_ignore_ascii_case(username) || username.is_empty())
        .then(|| ChatCommand { name: name.to_lowercase(), rest: rest.trim() })
}

fn needed(name: &str) -> Option<Role> {
    Some(match name {
        "alerts" | "silences" | "oncall" | "help" | "start" | "id" => Role::Viewer,
        // An arbitrary expression may overload Prometheus. The button uses only the expression of a rule.
        "ack" | "release" | "unsilence" | "escalate" | "graph" | "override" => Role::Responder,
        "assign" => Role::Admin,
        _ => return None,
    })
}

/// The label of metrics. A button with the same action has the same label.
fn action(name: &str) -> &str {
    if name == "ack" { "acknowledge" } else { name }
}

pub(super) async fn write(context: &BotContext, message: Message) -> Result<(), Unavailable> {
    let username = context.username().await;
    let Some(command) = message.text().and_then(|text| read(text, &username)) else { return Ok(()) };
    let Some(role) = needed(&command.name) else { return Ok(()) };
    let routing = &context.writer.routing;
    let chat = routing.configured_chat(&context.bot, message.chat.id.0);
    let topic = message.thread_id.filter(|_| message.is_topic_message).map(|thread| thread.0.0);
    let address = address(routing, &context.bot, message.chat.id.0, topic);
    let reader = routing.reader(&address, context.clock.now());
    let user = message.from.as_ref().map(|user| user.id.0);
    let asker = Asker { user, in_the_name_of_a_chat: message.sender_chat.is_some(), chat };
    let answer = match authority::authorise(&routing.config, &context.bot, asker, role) {
        _ if command.name == "id" => {
            let ids = Text::Ids { chat: message.chat.id.0, user: user.unwrap_or_default() };
            plain_words(&say(reader.language, ids), &reader)
        }
        Ok(person) => {
            let person = person.clone();
            let reply = message.reply_to_message().map(|replied| replied.id.0);
            let (outcome, answer) = answer(context, &command, &person, &address, message.id.0, reply, &reader).await?;
            context.count(action(&command.name), outcome);
            answer
        }
        Err(refusal) => {
            context.count(action(&command.name), "refused");
            let actor = format!("user {}", user.unwrap_or_default());
            context.note(&actor, "refused", None, format!("/{}: {}", command.name, refusal.name())).await?;
            plain_words(&refused(reader.language, refusal, user.unwrap_or_default(), chat), &reader)
        }
    };
    context.answer(&address, Words { text: answer, reply_to: Some(message.id.0), ..Words::default() }).await
}

/// The outcome, and the answer as HTML.
async fn answer(
    context: &BotContext,
    command: &ChatCommand<'_>,
    person: &Person,
    address: &Address,
    message: i32,
    reply: Option<i32>,
    reader: &Reader,
) -> Result<(&'static str, String), Unavailable> {
    match command.name.as_str() {
        "alerts" => return Ok(("done", lists::alerts(context, reader).await?)),
        "silences" => return Ok(("done", lists::silences(context, reader).await)),
        "oncall" => return Ok(("done", lists::on_call(context, reader))),
        _ => {}
    }
    let (outcome, said) = act(context, command, person, address, message, reply, reader).await?;
    Ok((outcome, plain_words(&said, reader)))
}

/// The outcome, and the answer as plain text.
async fn act(
    context: &BotContext,
    command: &ChatCommand<'_>,
    person: &Person,
    address: &Address,
    message: i32,
    reply: Option<i32>,
    reader: &Reader,
) -> Result<(&'static str, String), Unavailable> {
    let language = reader.language;
    let say = |saying| say(language, saying);
    let by = person.name.clone();
    Ok(match command.name.as_str() {
        "ack" | "release" | "escalate" => {
            let Some(incident) = named(context, command.rest, address, reply).await? else {
                return Ok(("nothing", unnamed(command, reader)));
            };
            let (id, act) = match command.name.as_str() {
                "ack" => (incident.id, Act::Acknowledge),
                "release" => (incident.id, Act::Release),
                _ => (incident.id, Act::Escalate),
            };
            match context.writer.perform(Perform { incident: id, by, act: act.clone() }).await? {
                Performed::Done(_) => {
                    let incident = {
                        let place = place::place(&incident, &Default::default());
                        format!("{id} {}", line(&format!("{} {place}", incident.title()), 2 * lists::VALUE))
                    };
                    let saying = match act {
                        Act::Acknowledge => Text::Yours { incident: &incident },
                        Act::Release => Text::Released,
                        _ => Text::Escalating,
                    };
                    ("done", say(saying))
                }
                other => nothing(language, &other, id),
            }
        }
        "assign" => {
            let (name, to) = command.rest.rsplit_once(char::is_whitespace).unwrap_or(("", command.rest));
            let Some(to) = context.writer.routing.config.person(to) else {
                return Ok(("nothing", say(Text::Usage { usage: "/assign 12 name" })));
            };
            let Some(incident) = named(context, name, address, reply).await? else {
                return Ok(("nothing", unnamed(command, reader)));
            };
            let act = Act::Reassign { to: to.name.clone() };
            match context.writer.perform(Perform { incident: incident.id, by, act }).await? {
                Performed::Done(_) => ("done", say(Text::Given { to: &to.name })),
                other => nothing(language, &other, incident.id),
            }
        }
        "unsilence" => unsilence(context, command.rest, person, reader).await?,
        "override" => super::duty_override::set_override(context, command.rest, person, reader).await?,
        "graph" => graph(context, command.rest, address, message, reader).await?,
        _ => ("done", say(Text::Help)),
    })
}

fn unnamed(command: &ChatCommand, reader: &Reader) -> String {
    if command.rest.is_empty() {
        say(reader.language, Text::Usage { usage: &format!("/{} 12", command.name) })
    } else {
        say(reader.language, Text::NoSuchIncident { named: &line(command.rest, lists::VALUE) })
    }
}

/// The incident, by number, by SMS code, or by the message to which the command replies.
async fn named(context: &BotContext, text: &str, address: &Address, reply: Option<i32>) -> Result<Option<Incident>, Unavailable> {
    let unavailable = |error: sqlx::Error| Unavailable(error.to_string());
    let readers = &context.writer.readers;
    if text.is_empty() {
        let Some(message) = reply else { return Ok(None) };
        let Some(id) = threads::incident_of(readers, address, message).await.map_err(unavailable)? else { return Ok(None) };
        return incidents::by_id(readers, id).await.map_err(unavailable);
    }
    let digits: String = text.trim_start_matches('#').chars().map(super::reply::latin).collect();
    let Ok(number) = digits.parse::<i64>() else { return Ok(None) };
    if let Some(incident) = incidents::by_id(readers, IncidentId(number)).await.map_err(unavailable)?.filter(Incident::is_open) {
        return Ok(Some(incident));
    }
    let Ok(code) = u32::try_from(number) else { return Ok(None) };
    incidents::by_code(readers, code).await.map_err(unavailable)
}

async fn unsilence(
    context: &BotContext,
    id: &str,
    person: &Person,
    reader: &Reader,
) -> Result<(&'static str, String), Unavailable> {
    let say = |saying| say(reader.language, saying);
    if id.is_empty() {
        return Ok(("nothing", say(Text::Usage { usage: "/unsilence id" })));
    }
    if context.alertmanagers.is_empty() {
        return Ok(("nothing", say(Text::NoApiAddress)));
    }
    for alertmanager in context.alertmanagers.iter() {
        let silences = alertmanager.silences().await.unwrap_or_default();
        let Some(silence) = silences.iter().find(|silence| silence.id.as_deref() == Some(id)) else { continue };
        if silence.created_by != person.name && person.role < Role::Admin {
            return Ok(("refused", say(Text::RoleForbids)));
        }
        if let Err(error) = alertmanager.end_silence(id).await {
            tracing::warn!(error = format!("{error:#}"), alertmanager = alertmanager.name, "failed to end a silence");
            return Ok(("failed", say(Text::AlertmanagerFailed)));
        }
        context.note(&person.name, "unsilenced", None, id.to_owned()).await?;
        // The next reconciliation removes it from its incidents.
        context.compare.send_replace(());
        return Ok(("done", say(Text::SilenceEnded)));
    }
    Ok(("nothing", say(Text::NoSilenceOfIt)))
}

async fn graph(
    context: &BotContext,
    expression: &str,
    address: &Address,
    message: i32,
    reader: &Reader,
) -> Result<(&'static str, String), Unavailable> {
    let source = context.writer.routing.config.alertmanagers.iter().find(|one| one.prometheus.is_some());
    let Some(source) = source else { return Ok(("nothing", say(reader.language, Text::NoPrometheus))) };
    if expression.is_empty() || expression.len() > EXPRESSION_BYTES {
        return Ok(("nothing", say(reader.language, Text::Usage { usage: "/graph up" })));
    }
    let draw = Draw {
        incident: None,
        address: address.clone(),
        expression: expression.to_owned(),
        source: source.name.clone(),
        caption: expression.to_owned(),
        reply_to: Some(message),
    };
    context.writer.perform(draw).await?;
    Ok(("done", say(reader.language, Text::Drawing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_for_this_bot_is_parsed_with_its_arguments() {
        let command = |name: &str, rest| Some(ChatCommand { name: name.to_owned(), rest });
        for (text, expected) in [
            ("/alerts", command("alerts", "")),
            (" /ack@Alerts_Bot  12 ", command("ack", "12")),
            ("/Ack 12", command("ack", "12")),
            ("/ack@other_bot 12", None),
            ("/graph sum(rate(x[5m])) by (a)", command("graph", "sum(rate(x[5m])) by (a)")),
            ("hello /ack", None),
        ] {
            assert_eq!(read(text, "alerts_bot"), expected, "{text}");
        }
    }
}
