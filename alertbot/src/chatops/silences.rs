//! This module sets and ends silences in Alertmanager under a person's name.

use alertbot_core::{
    delivery::{Address, Button, ButtonAction, Words},
    incident::{Incident, IncidentId},
    message::{
        Language,
        catalogue::{Text, say},
        notice::plain_words,
        press::Press,
    },
};
use jiff::SignedDuration;

use super::BotContext;
use crate::{
    alertmanager::silence::matchers,
    config::{Person, Role},
    store::incidents,
    writer::{
        Unavailable,
        actions::{Act, Perform},
    },
};

/// Seconds in an hour.
const HOUR: i64 = 3600;

#[expect(clippy::too_many_arguments, reason = "who, what, for how long, where, and in which language")]
pub(super) async fn silence(
    context: &BotContext,
    id: IncidentId,
    hours: u32,
    confirmed: bool,
    person: &Person,
    address: &Address,
    message: Option<i32>,
    language: Language,
) -> Result<(&'static str, String), Unavailable> {
    let say = |saying| say(language, saying);
    let Some(incident) = find(context, id).await? else {
        return Ok(("nothing", say(Text::NoSuchIncident { named: &id.to_string() })));
    };
    if !incident.is_open() {
        return Ok(("nothing", say(Text::Ended)));
    }
    let Some(alertmanager) = context.alertmanager(&incident.source) else {
        return Ok(("failed", say(Text::NoApiAddress)));
    };
    let matchers = matchers(&incident);
    if matchers.is_empty() {
        return Ok(("refused", say(Text::NothingShared)));
    }
    let failed = |error: anyhow::Error| {
        tracing::warn!(
            error = format!("{error:#}"),
            alertmanager = incident.source,
            incident.id = id.0,
            "failed to create a silence"
        );
        ("failed", say(Text::AlertmanagerFailed))
    };
    let alerts = match alertmanager.count(&matchers).await {
        Ok(alerts) => alerts,
        Err(error) => return Ok(failed(error)),
    };
    let lasts = SignedDuration::from_secs(i64::from(hours) * HOUR);
    let above = context.writer.routing.config.incidents.silence_confirm_above as usize;
    if alerts > above && !confirmed {
        let asked = say(Text::ConfirmSilence { alerts, hours });
        let confirm = Button {
            text: format!("{} ({alerts})", say(Text::SilenceFor { hours })),
            action: ButtonAction::Press(Press::Silence(id, hours, true).data()),
        };
        let text = plain_words(&asked, &context.writer.routing.reader(address, context.clock.now()));
        let words = Words { text, buttons: vec![vec![confirm]], reply_to: message, silent: true };
        context.answer(address, words).await?;
        return Ok(("nothing", asked));
    }
    let ends = context.writer.routing.ends_silences(&incident);
    let silence = match alertmanager.silence_incident(&incident, &person.name, lasts, ends, context.clock.now()).await {
        Ok(silence) => silence,
        Err(error) => return Ok(failed(error)),
    };
    let until = context.writer.routing.reader(address, context.clock.now()).clock(silence.until);
    context.writer.perform(Perform { incident: id, by: person.name.clone(), act: Act::Silence(silence) }).await?;
    Ok(("done", say(Text::SilencedUntil { until: &until, alerts })))
}

/// Ends every silence of the incident that was set through the bot. Only an administrator may end another person's silence.
pub(super) async fn unsilence_incident(
    context: &BotContext,
    id: IncidentId,
    person: &Person,
    language: Language,
) -> Result<(&'static str, String), Unavailable> {
    let say = |saying| say(language, saying);
    let Some(incident) = find(context, id).await? else {
        return Ok(("nothing", say(Text::NoSuchIncident { named: &id.to_string() })));
    };
    if incident.silences.is_empty() {
        return Ok(("nothing", say(Text::NoSilenceOfIt)));
    }
    let Some(alertmanager) = context.alertmanager(&incident.source) else {
        return Ok(("failed", say(Text::NoApiAddress)));
    };
    if person.role < Role::Admin && incident.silences.iter().any(|silence| silence.by != person.name) {
        return Ok(("refused", say(Text::RoleForbids)));
    }
    let ids: Vec<String> = incident.silences.iter().map(|silence| silence.id.clone()).collect();
    for silence in &ids {
        if let Err(error) = alertmanager.end_silence(silence).await {
            tracing::warn!(error = format!("{error:#}"), alertmanager = incident.source, silence, "failed to end a silence");
            return Ok(("failed", say(Text::AlertmanagerFailed)));
        }
    }
    context.writer.perform(Perform { incident: id, by: person.name.clone(), act: Act::Unsilence { ids } }).await?;
    context.compare.send_replace(());
    Ok(("done", say(Text::SilenceEnded)))
}

async fn find(context: &BotContext, id: IncidentId) -> Result<Option<Incident>, Unavailable> {
    incidents::by_id(&context.writer.readers, id).await.map_err(|error| Unavailable(error.to_string()))
}
