//! This module handles buttons. Every press is answered, because an unanswered button keeps spinning. The message itself is
//! edited by the effects of the action.

use alertbot_core::{
    delivery::Address,
    incident::IncidentId,
    message::{
        Language,
        catalogue::{Text, say},
        press::Press,
        split::shorten,
        units::ANSWER_UNITS,
    },
};
use teloxide::{
    payloads::setters::*,
    prelude::{Request, Requester},
    types::CallbackQuery,
};

use super::{
    BotContext,
    authority::{self, Asker, NotAuthorized, address},
    silences,
};
use crate::{
    config::{Person, Role},
    store::{
        incidents,
        outbox::{self, MessageBody},
        threads,
    },
    writer::{
        Unavailable,
        actions::{Act, Draw, Perform, Performed},
    },
};

/// The role that a button needs.
fn needed_role(press: Press) -> Role {
    if matches!(press, Press::Graph(_)) { Role::Viewer } else { Role::Responder }
}

pub(super) async fn press(context: &BotContext, query: CallbackQuery) -> Result<(), Unavailable> {
    let id = query.id.clone();
    let (said, alert, done) = match take(context, &query).await {
        Ok((said, alert)) => (said, alert, Ok(())),
        Err(error) => (say(context.writer.routing.config.language, Text::TryAgain), true, Err(error)),
    };
    let said = shorten(&said, ANSWER_UNITS);
    // A failure to answer does not undo the action.
    if let Err(error) = context.telegram.bot().answer_callback_query(id).text(said).show_alert(alert).send().await {
        tracing::debug!(
            error = error.to_string().replace(context.telegram.bot().token(), "(token)"),
            "failed to answer a button"
        );
    }
    done
}

/// The answer to the person, and whether it is a dialog.
async fn take(context: &BotContext, query: &CallbackQuery) -> Result<(String, bool), Unavailable> {
    let routing = &context.writer.routing;
    let actor = format!("user {}", query.from.id.0);
    let unreadable = async |detail: &str| {
        context.count("button", "refused");
        context.note(&actor, "refused", None, detail.to_owned()).await?;
        Ok((say(routing.config.language, Text::TryAgain), true))
    };
    let Some(press) = query.data.as_deref().and_then(Press::from_data) else {
        return unreadable("a button without readable data").await;
    };
    // For an old message, Telegram sends only its place, or not even that. The person is known in every case.
    let message_id = query.message.as_ref().map(|message| message.id().0);
    let chat_id = query.message.as_ref().map_or_else(|| query.from.id.0.cast_signed(), |message| message.chat().id.0);
    let chat = routing.configured_chat(&context.bot, chat_id);
    let told = match (query.message.as_ref().and_then(|message| message.regular_message()), message_id) {
        (Some(message), _) => {
            let topic = message.thread_id.filter(|_| message.is_topic_message).map(|thread| thread.0.0);
            Some(address(routing, &context.bot, chat_id, topic))
        }
        (None, Some(message)) => told_in(context, press, chat, message).await?,
        (None, None) => None,
    };
    let address = told.unwrap_or_else(|| address(routing, &context.bot, chat_id, None));
    let language = routing.language(&address);
    let asker = Asker { user: Some(query.from.id.0), in_the_name_of_a_chat: false, chat };
    let person = match authority::authorise(&routing.config, &context.bot, asker, needed_role(press)) {
        Ok(person) => person.clone(),
        Err(refusal) => {
            context.count(press.name(), "refused");
            let detail = format!("{}: {}", press.name(), refusal.name());
            context.note(&format!("user {}", query.from.id.0), "refused", press.incident(), detail).await?;
            return Ok((refused(language, refusal, query.from.id.0, chat), true));
        }
    };
    let (outcome, said) = act(context, press, &person, &address, message_id, language).await?;
    context.count(press.name(), outcome);
    Ok((said, false))
}

/// The address of an incident's message, with its topic.
async fn told_in(context: &BotContext, press: Press, chat: i64, message: i32) -> Result<Option<Address>, Unavailable> {
    let Some(incident) = press.incident() else { return Ok(None) };
    let told = threads::messages_of(&context.writer.readers, incident).await.map_err(|error| Unavailable(error.to_string()))?;
    let here = |address: &Address| matches!(address, Address::Telegram { bot, chat: there, .. } if *bot == context.bot && *there == chat);
    let mut in_chat = told.into_iter().filter(|(address, _)| here(address));
    let exact = in_chat.clone().find(|(_, known)| *known == message);
    Ok(exact.or_else(|| in_chat.next()).map(|(address, _)| address))
}

pub(super) fn refused(language: Language, refusal: NotAuthorized, user: u64, chat: i64) -> String {
    let saying = match refusal {
        NotAuthorized::Anonymous => Text::WhoAreYou,
        NotAuthorized::Stranger => Text::Stranger { user, chat },
        NotAuthorized::WrongChat => Text::NotInThisChat { chat },
        NotAuthorized::Role(_) => Text::RoleForbids,
    };
    say(language, saying)
}

async fn act(
    context: &BotContext,
    press: Press,
    person: &Person,
    address: &Address,
    message: Option<i32>,
    language: Language,
) -> Result<(&'static str, String), Unavailable> {
    let say = |saying| say(language, saying);
    let perform = |incident, act| context.writer.perform(Perform { incident, by: person.name.clone(), act });
    Ok(match press {
        Press::Acknowledge(id) => match perform(id, Act::Acknowledge).await? {
            Performed::Done(_) => ("done", say(Text::Yours { incident: &id.to_string() })),
            other => nothing(language, &other, id),
        },
        Press::AcknowledgeAll(digest) => {
            let count = acknowledge_all(context, digest, &person.name).await?;
            ("done", say(Text::AllYours { count }))
        }
        Press::Escalate(id) => match perform(id, Act::Escalate).await? {
            Performed::Done(_) => ("done", say(Text::Escalating)),
            Performed::Nothing(_) => ("nothing", say(Text::NobodyToEscalateTo)),
            Performed::Unknown => ("nothing", say(Text::NoSuchIncident { named: &id.to_string() })),
        },
        Press::Release(id) => match perform(id, Act::Release).await? {
            Performed::Done(_) => ("done", say(Text::Released)),
            other => nothing(language, &other, id),
        },
        Press::Graph(id) => graph(context, id, address, message, language).await?,
        Press::Silence(id, hours, confirmed) => {
            silences::silence(context, id, hours, confirmed, person, address, message, language).await?
        }
        Press::Unsilence(id) => silences::unsilence_incident(context, id, person, language).await?,
    })
}

pub(super) fn nothing(language: Language, performed: &Performed, id: IncidentId) -> (&'static str, String) {
    let said = match performed {
        Performed::Nothing(incident) if !incident.is_open() => say(language, Text::Ended),
        Performed::Unknown => say(language, Text::NoSuchIncident { named: &id.to_string() }),
        _ => say(language, Text::YoursAlready),
    };
    ("nothing", said)
}

async fn acknowledge_all(context: &BotContext, digest: i64, by: &str) -> Result<usize, Unavailable> {
    let read = outbox::body(&context.writer.readers, digest).await.map_err(|error| Unavailable(error.to_string()))?;
    let Some(MessageBody::Digest { named }) = read else { return Ok(0) };
    let mut count = 0;
    for named in named {
        let act = Perform { incident: named.incident, by: by.to_owned(), act: Act::Acknowledge };
        count += usize::from(matches!(context.writer.perform(act).await?, Performed::Done(_)));
    }
    Ok(count)
}

async fn graph(
    context: &BotContext,
    id: IncidentId,
    address: &Address,
    message: Option<i32>,
    language: Language,
) -> Result<(&'static str, String), Unavailable> {
    let found = incidents::by_id(&context.writer.readers, id).await.map_err(|error| Unavailable(error.to_string()))?;
    let Some(incident) = found else {
        return Ok(("nothing", say(language, Text::NoSuchIncident { named: &id.to_string() })));
    };
    let Some(expression) = incident.expression() else {
        return Ok(("nothing", say(language, Text::NoExpression)));
    };
    context
        .writer
        .perform(Draw {
            incident: Some(id),
            address: address.clone(),
            expression,
            source: incident.source.clone(),
            caption: incident.title(),
            reply_to: message,
        })
        .await?;
    Ok(("done", say(language, Text::Drawing)))
}
