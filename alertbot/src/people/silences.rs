//! Silences in Alertmanager, by a person's name.

use jiff::SignedDuration;

use super::{Counter, buttons, buttons::Press};
use crate::{
    alertmanager::silence::matchers,
    config::{Language, Person, Role},
    desk::{
        Unavailable,
        act::{Act, Perform},
    },
    incident::{Incident, IncidentId},
    message::{
        catalogue::{Saying, say},
        notice::plain_words,
    },
    notify::Address,
    store::{
        incidents,
        outbox::{Button, ButtonAction, Words},
    },
};

/// Seconds of an hour.
const HOUR: i64 = 3600;

#[expect(clippy::too_many_arguments, reason = "who, what, for how long, where, and in which language")]
pub(super) async fn silence(
    counter: &Counter,
    id: IncidentId,
    hours: u32,
    confirmed: bool,
    person: &Person,
    address: &Address,
    message: i32,
    language: Language,
) -> Result<(&'static str, String), Unavailable> {
    let say = |saying| say(language, saying);
    let Some(incident) = find(counter, id).await? else {
        return Ok(("nothing", say(Saying::NoSuchIncident { named: &id.to_string() })));
    };
    if !incident.is_open() {
        return Ok(("nothing", say(Saying::Ended)));
    }
    let Some(alertmanager) = counter.alertmanager(&incident.source) else {
        return Ok(("failed", say(Saying::NoApiAddress)));
    };
    let matchers = matchers(&incident);
    if matchers.is_empty() {
        return Ok(("refused", say(Saying::NothingShared)));
    }
    let failed = |error: anyhow::Error| {
        tracing::warn!(error = format!("{error:#}"), alertmanager = incident.source, incident.id = id.0, "a silence was not set");
        ("failed", say(Saying::AlertmanagerFailed))
    };
    let alerts = match alertmanager.count(&matchers).await {
        Ok(alerts) => alerts,
        Err(error) => return Ok(failed(error)),
    };
    let lasts = SignedDuration::from_secs(i64::from(hours) * HOUR);
    let above = counter.desk.book.config.incidents.silence_confirm_above as usize;
    if alerts > above && !confirmed {
        let asked = say(Saying::ConfirmSilence { alerts, hours });
        let confirm = Button {
            text: format!("{} ({alerts})", say(Saying::SilenceFor { hours })),
            action: ButtonAction::Press(buttons::data(Press::Silence(id, hours, true))),
        };
        let text = plain_words(&asked, &counter.desk.book.reader(address, counter.clock.now()));
        let words = Words { text, buttons: vec![vec![confirm]], reply_to: Some(message), silent: true };
        counter.answer(address, words).await?;
        return Ok(("nothing", asked));
    }
    let ends = counter.desk.book.ends_silences(&incident);
    let silence = match alertmanager.silence_incident(&incident, &person.name, lasts, ends, counter.clock.now()).await {
        Ok(silence) => silence,
        Err(error) => return Ok(failed(error)),
    };
    let until = counter.desk.book.reader(address, counter.clock.now()).clock(silence.until);
    counter.desk.perform(Perform { incident: id, by: person.name.clone(), act: Act::Silence(silence) }).await?;
    Ok(("done", say(Saying::SilencedUntil { until: &until, alerts })))
}

/// Ends every silence that was set for the incident through the bot; somebody else's only an administrator.
pub(super) async fn unsilence_incident(
    counter: &Counter,
    id: IncidentId,
    person: &Person,
    language: Language,
) -> Result<(&'static str, String), Unavailable> {
    let say = |saying| say(language, saying);
    let Some(incident) = find(counter, id).await? else {
        return Ok(("nothing", say(Saying::NoSuchIncident { named: &id.to_string() })));
    };
    if incident.silences.is_empty() {
        return Ok(("nothing", say(Saying::NoSilenceOfIt)));
    }
    let Some(alertmanager) = counter.alertmanager(&incident.source) else {
        return Ok(("failed", say(Saying::NoApiAddress)));
    };
    if person.role < Role::Admin && incident.silences.iter().any(|silence| silence.by != person.name) {
        return Ok(("refused", say(Saying::RoleForbids)));
    }
    let ids: Vec<String> = incident.silences.iter().map(|silence| silence.id.clone()).collect();
    for silence in &ids {
        if let Err(error) = alertmanager.end_silence(silence).await {
            tracing::warn!(error = format!("{error:#}"), alertmanager = incident.source, silence, "a silence was not ended");
            return Ok(("failed", say(Saying::AlertmanagerFailed)));
        }
    }
    counter.desk.perform(Perform { incident: id, by: person.name.clone(), act: Act::Unsilence { ids } }).await?;
    counter.compare.send_replace(());
    Ok(("done", say(Saying::SilenceEnded)))
}

async fn find(counter: &Counter, id: IncidentId) -> Result<Option<Incident>, Unavailable> {
    incidents::by_id(&counter.desk.readers, id).await.map_err(|error| Unavailable(error.to_string()))
}
