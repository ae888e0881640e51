//! English.

use super::{Text, Word};
use crate::message::age::{Age, AgeUnit};

pub(super) fn word(word: Word) -> &'static str {
    match word {
        Word::Critical => "critical",
        Word::Warning => "warning",
        Word::Info => "info",
        Word::Firing => "firing",
        Word::Acknowledged => "acknowledged",
        Word::Resolved => "resolved",
        Word::Since => "Since",
        Word::Lasted => "Lasted",
        Word::Value => "Value",
        Word::Runbook => "Runbook",
        Word::Dashboard => "Dashboard",
        Word::Logs => "Logs",
        Word::Source => "Expression",
        Word::SilenceLink => "Silence",
        Word::Suppressed => "silenced or inhibited in Alertmanager",
        Word::Gone => "no longer reported by Alertmanager",
        Word::Acknowledge => "Acknowledge",
        Word::AcknowledgeAll => "Acknowledge all",
        Word::Release => "Release",
        Word::Escalate => "Escalate now",
        Word::Graph => "Graph",
        Word::Unsilence => "End silence",
        Word::Repetition => "Possible duplicate: the answer to an earlier attempt was lost.",
        Word::Nobody => "no one",
        Word::Test => "Test message of the alert bot. No action is needed.",
    }
}

pub(super) fn say(saying: Text) -> String {
    match saying {
        Text::Age(age) => said_age(age),
        Text::Counts { firing, resolved: 0 } => format!("{firing} firing"),
        Text::Counts { firing: 0, resolved } => format!("{resolved} resolved"),
        Text::Counts { firing, resolved } => format!("{firing} firing, {resolved} resolved"),
        Text::More { count } => format!("and {count} more"),
        Text::LabelsLeft { count: 1 } => "and 1 more label".into(),
        Text::LabelsLeft { count } => format!("and {count} more labels"),
        Text::Reopened => "fires again".into(),
        Text::Flapping => "flapping: until it calms down, changes appear only in the first message".into(),
        Text::SeverityRaised { from, to } => format!("severity raised from {} to {}", from.name(), to.name()),
        Text::Joined { count: 1 } => "1 more alert fires".into(),
        Text::Joined { count } => format!("{count} more alerts fire"),
        Text::Escalated { to, by: Some(by) } => format!("{by} escalated to {to}"),
        Text::Escalated { to, by: None } => format!("not acknowledged: escalated to {to}"),
        Text::EscalationLost => {
            "The configuration no longer has an escalation for this incident: no one is called. Acknowledge it, or fix its route."
                .into()
        }
        Text::BlindSince { at } => {
            format!("Monitoring is blind since {at}: the Watchdog is missing, the current state is unknown")
        }
        Text::Reminded => "still firing, not acknowledged".into(),
        Text::AcknowledgementEnded { by } => format!("unassigned: the acknowledgement by {by} ended"),
        Text::Reassigned { to, by } => format!("{by} assigned it to {to}"),
        Text::CausedBy { by } => format!("Caused by {by}"),
        Text::TakenBy { by } => format!("Acknowledged by {by}"),
        Text::SilencedBy { by, until } => format!("Silenced by {by} until {until}"),
        Text::Digest { count } => {
            format!("{count} alerts at once. Alerts that still fire follow one by one when this chat has capacity.")
        }
        Text::DigestHelp => "Send /ack with a number to acknowledge one".into(),
        Text::SilenceFor { hours } if hours % 24 == 0 => format!("Silence {}d", hours / 24),
        Text::SilenceFor { hours } => format!("Silence {hours}h"),
        Text::Several { count } => format!("{count} alerts"),
        Text::Code { code } => format!("Reply ACK {code}"),
        Text::CodeTaken { code, title } => format!("{code} acknowledged: {title}"),
        Text::CodeEnded { code, title } => format!("{code} is closed: {title}"),
        Text::CodeYours { code } => format!("{code} is already acknowledged by you."),
        Text::CodeUnknown { code } => format!("No open incident has the code {code}."),
        Text::Yours { incident } => format!("You acknowledged {incident}."),
        Text::YoursAlready => "You have already acknowledged it.".into(),
        Text::AllYours { count } => format!("{count} acknowledged."),
        Text::Ended => "The incident is closed.".into(),
        Text::NoSuchIncident { named } => format!("There is no open incident {named}."),
        Text::Escalating => "Notifying the next step of the escalation.".into(),
        Text::NobodyToEscalateTo => "Not escalated: the incident is closed, or its route has no escalation.".into(),
        Text::Given { to } => format!("Assigned to {to}."),
        Text::Released => "Unassigned.".into(),
        Text::SilencedUntil { until, alerts } => format!("Silenced until {until}: {alerts} firing alerts match."),
        Text::ConfirmSilence { alerts, hours } => {
            format!("This silence would cover {alerts} firing alerts for {hours} h. Press the button to confirm.")
        }
        Text::NothingShared => {
            "The alerts share no label, so a silence would cover everything. Create it in Alertmanager.".into()
        }
        Text::SilenceEnded => "The silence has ended.".into(),
        Text::NoSilenceOfIt => "The bot has set no silence for this incident.".into(),
        Text::NoApiAddress => "Not available: the configuration has no urls for this Alertmanager.".into(),
        Text::AlertmanagerFailed => "The request to Alertmanager failed. The bot's log states the reason.".into(),
        Text::Drawing => "The chart follows.".into(),
        Text::NoExpression => "No chart: the alerts have no expression.".into(),
        Text::NoPicture { reason } => format!("No chart. {reason}"),
        Text::NoPrometheus => "No chart: the configuration has no Prometheus.".into(),
        Text::RoleForbids => "Your role does not allow that.".into(),
        Text::WhoAreYou => "The sender is unknown. Write as yourself, not as the group.".into(),
        Text::Stranger { user, chat } => {
            format!("You are not authorized. Ask an administrator to add user {user} (chat {chat}).")
        }
        Text::NotInThisChat { chat } => format!("This chat is not in the configuration ({chat})."),
        Text::NothingOpen => "No open incidents.".into(),
        Text::Open { count } => format!("{count} open:"),
        Text::NothingSilenced => "No active silences.".into(),
        Text::Silences { count } => format!("{count} silences:"),
        Text::OnDutyUntil { until, next } => format!("until {until}, then {next}"),
        Text::OnDuty => "On duty:".into(),
        Text::Overridden { schedule, person, until } => format!("{schedule}: {person} is on duty until {until}."),
        Text::OverrideEnded { schedule } => format!("{schedule}: the override has ended. The schedule applies again."),
        Text::NoOverride { schedule } => format!("{schedule} has no override by command."),
        Text::NoSchedules => "The configuration has no schedules.".into(),
        Text::Usage { usage } => format!("Usage: {usage}"),
        Text::TryAgain => "The action failed and nothing was changed. Try again.".into(),
        Text::Ids { chat, user } => format!("Chat {chat}, user {user}."),
        Text::Help => HELP.into(),
        Text::Handover { schedule, from, to } => format!("{schedule}: {to} is on duty now, after {from}."),
        Text::YouBegin { schedule, until } => format!("You are on duty now: {schedule}, until {until}."),
        Text::YouEnd { schedule, to } => format!("Your duty has ended: {schedule}. On duty now: {to}."),
    }
}

const HELP: &str = "/alerts list open incidents
/ack <number> acknowledge an incident
/release <number> end your acknowledgement
/escalate <number> notify the next step now
/assign <number> <name> assign it to a person
/silences list active silences
/unsilence <id> end a silence
/oncall list who is on duty
/override <schedule> [name] 8h change who is on duty until then; off ends it
/graph <PromQL> chart of the last hour
/id print your id and the chat's id";

fn said_age(age: Age) -> String {
    let part = |(unit, count): (AgeUnit, u64)| {
        let unit = match unit {
            AgeUnit::Second => "s",
            AgeUnit::Minute => "min",
            AgeUnit::Hour => "h",
            AgeUnit::Day => "d",
        };
        format!("{count} {unit}")
    };
    match age.second {
        Some(second) => format!("{} {}", part(age.first), part(second)),
        None => part(age.first),
    }
}
