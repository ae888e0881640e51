//! English.

use super::{Saying, Word};
use crate::message::age::{Age, Unit};

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

pub(super) fn say(saying: Saying) -> String {
    match saying {
        Saying::Age(age) => said_age(age),
        Saying::Counts { firing, resolved: 0 } => format!("{firing} firing"),
        Saying::Counts { firing: 0, resolved } => format!("{resolved} resolved"),
        Saying::Counts { firing, resolved } => format!("{firing} firing, {resolved} resolved"),
        Saying::More { count } => format!("and {count} more"),
        Saying::LabelsLeft { count: 1 } => "and 1 more label".into(),
        Saying::LabelsLeft { count } => format!("and {count} more labels"),
        Saying::Reopened => "fires again".into(),
        Saying::Flapping => "flapping: until it calms down, changes appear only in the first message".into(),
        Saying::SeverityRaised { from, to } => format!("severity raised from {} to {}", from.name(), to.name()),
        Saying::Joined { count: 1 } => "1 more alert fires".into(),
        Saying::Joined { count } => format!("{count} more alerts fire"),
        Saying::Escalated { to, by: Some(by) } => format!("{by} escalated to {to}"),
        Saying::Escalated { to, by: None } => format!("not acknowledged: escalated to {to}"),
        Saying::EscalationLost => {
            "The configuration no longer has an escalation for this incident: no one is called. Acknowledge it, or fix its route."
                .into()
        }
        Saying::BlindSince { at } => {
            format!("Monitoring is blind since {at}: the Watchdog is missing, the current state is unknown")
        }
        Saying::Reminded => "still firing, not acknowledged".into(),
        Saying::AcknowledgementEnded { by } => format!("unassigned: the acknowledgement by {by} ended"),
        Saying::Reassigned { to, by } => format!("{by} assigned it to {to}"),
        Saying::TakenBy { by } => format!("Acknowledged by {by}"),
        Saying::SilencedBy { by, until } => format!("Silenced by {by} until {until}"),
        Saying::Digest { count } => {
            format!("{count} alerts at once. Alerts that still fire follow one by one when this chat has capacity.")
        }
        Saying::DigestHelp => "Send /ack with a number to acknowledge one".into(),
        Saying::SilenceFor { hours } if hours % 24 == 0 => format!("Silence {}d", hours / 24),
        Saying::SilenceFor { hours } => format!("Silence {hours}h"),
        Saying::Several { count } => format!("{count} alerts"),
        Saying::Code { code } => format!("Reply ACK {code}"),
        Saying::CodeTaken { code, title } => format!("{code} acknowledged: {title}"),
        Saying::CodeEnded { code, title } => format!("{code} is closed: {title}"),
        Saying::CodeYours { code } => format!("{code} is already acknowledged by you."),
        Saying::CodeUnknown { code } => format!("No open incident has the code {code}."),
        Saying::Yours { incident } => format!("You acknowledged {incident}."),
        Saying::YoursAlready => "You have already acknowledged it.".into(),
        Saying::AllYours { count } => format!("{count} acknowledged."),
        Saying::Ended => "The incident is closed.".into(),
        Saying::NoSuchIncident { named } => format!("There is no open incident {named}."),
        Saying::Escalating => "Notifying the next step of the escalation.".into(),
        Saying::NobodyToEscalateTo => "Not escalated: the incident is closed, or its route has no escalation.".into(),
        Saying::Given { to } => format!("Assigned to {to}."),
        Saying::Released => "Unassigned.".into(),
        Saying::SilencedUntil { until, alerts } => format!("Silenced until {until}: {alerts} firing alerts match."),
        Saying::ConfirmSilence { alerts, hours } => {
            format!("This silence would cover {alerts} firing alerts for {hours} h. Press the button to confirm.")
        }
        Saying::NothingShared => {
            "The alerts share no label, so a silence would cover everything. Create it in Alertmanager.".into()
        }
        Saying::SilenceEnded => "The silence has ended.".into(),
        Saying::NoSilenceOfIt => "The bot has set no silence for this incident.".into(),
        Saying::NoApiAddress => "Not available: the configuration has no urls for this Alertmanager.".into(),
        Saying::AlertmanagerFailed => "The request to Alertmanager failed. The bot's log states the reason.".into(),
        Saying::Drawing => "The chart follows.".into(),
        Saying::NoExpression => "No chart: the alerts have no expression.".into(),
        Saying::NoPicture { reason } => format!("No chart. {reason}"),
        Saying::NoPrometheus => "No chart: the configuration has no Prometheus.".into(),
        Saying::RoleForbids => "Your role does not allow that.".into(),
        Saying::WhoAreYou => "The sender is unknown. Write as yourself, not as the group.".into(),
        Saying::Stranger { user, chat } => {
            format!("You are not authorized. Ask an administrator to add user {user} (chat {chat}).")
        }
        Saying::NotInThisChat { chat } => format!("This chat is not in the configuration ({chat})."),
        Saying::NothingOpen => "No open incidents.".into(),
        Saying::Open { count } => format!("{count} open:"),
        Saying::NothingSilenced => "No active silences.".into(),
        Saying::Silences { count } => format!("{count} silences:"),
        Saying::OnDutyUntil { until, next } => format!("until {until}, then {next}"),
        Saying::OnDuty => "On duty:".into(),
        Saying::Overridden { schedule, person, until } => format!("{schedule}: {person} is on duty until {until}."),
        Saying::OverrideEnded { schedule } => format!("{schedule}: the override has ended. The schedule applies again."),
        Saying::NoOverride { schedule } => format!("{schedule} has no override by command."),
        Saying::NoSchedules => "The configuration has no schedules.".into(),
        Saying::Usage { usage } => format!("Usage: {usage}"),
        Saying::TryAgain => "The action failed and nothing was changed. Try again.".into(),
        Saying::Ids { chat, user } => format!("Chat {chat}, user {user}."),
        Saying::Help => HELP.into(),
        Saying::Handover { schedule, from, to } => format!("{schedule}: {to} is on duty now, after {from}."),
        Saying::YouBegin { schedule, until } => format!("You are on duty now: {schedule}, until {until}."),
        Saying::YouEnd { schedule, to } => format!("Your duty has ended: {schedule}. On duty now: {to}."),
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
    let part = |(unit, count): (Unit, u64)| {
        let unit = match unit {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
            Unit::Day => "d",
        };
        format!("{count} {unit}")
    };
    match age.second {
        Some(second) => format!("{} {}", part(age.first), part(second)),
        None => part(age.first),
    }
}
