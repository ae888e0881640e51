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
        Word::Gone => "gone without a word",
        Word::Acknowledge => "Acknowledge",
        Word::AcknowledgeAll => "Acknowledge all",
        Word::Release => "Give back",
        Word::Escalate => "Escalate now",
        Word::Graph => "Graph",
        Word::Unsilence => "End silence",
        Word::Repetition => "You may have this already: the answer to its sending was lost.",
        Word::Nobody => "nobody",
        Word::Test => "A test of the alert bot. Nothing is wrong.",
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
        Saying::Flapping => "fires again and again: changes are only edited in until it calms down".into(),
        Saying::SeverityRaised { from, to } => format!("{} now, was {}", to.name(), from.name()),
        Saying::Joined { count: 1 } => "one more alert fires".into(),
        Saying::Joined { count } => format!("{count} more alerts fire"),
        Saying::Escalated { to, by: Some(by) } => format!("{by} escalated: told now {to}"),
        Saying::Escalated { to, by: None } => format!("nobody has acknowledged: told now {to}"),
        Saying::EscalationLost => {
            "The configuration has no escalation for this incident any more: nobody is called. Acknowledge it, or fix its route."
                .into()
        }
        Saying::BlindSince { at } => format!("Monitoring is blind since {at}: the state is not known"),
        Saying::Reminded => "still firing, and nobody has acknowledged".into(),
        Saying::AcknowledgementEnded { by } => format!("{by} does not have it any more"),
        Saying::Reassigned { to, by } => format!("{by} gave it to {to}"),
        Saying::TakenBy { by } => format!("Taken by {by}"),
        Saying::SilencedBy { by, until } => format!("Silenced by {by} until {until}"),
        Saying::Digest { count } => {
            format!("{count} alerts at once. What still fires follows by itself when this chat has room.")
        }
        Saying::DigestHelp => "/ack and a number takes one of them".into(),
        Saying::SilenceFor { hours } if hours % 24 == 0 => format!("Silence {}d", hours / 24),
        Saying::SilenceFor { hours } => format!("Silence {hours}h"),
        Saying::Several { count } => format!("{count} alerts"),
        Saying::Code { code } => format!("Reply ACK {code}"),
        Saying::CodeTaken { code, title } => format!("{code} acknowledged: {title}"),
        Saying::CodeEnded { code, title } => format!("{code} has ended: {title}"),
        Saying::CodeYours { code } => format!("{code} is yours already."),
        Saying::CodeUnknown { code } => format!("{code}: no open incident has this code."),
        Saying::Yours { incident } => format!("You have {incident}."),
        Saying::YoursAlready => "It is yours already.".into(),
        Saying::AllYours { count } => format!("{count} acknowledged."),
        Saying::Ended => "It has ended.".into(),
        Saying::NoSuchIncident { named } => format!("There is no open incident {named}."),
        Saying::Escalating => "The next ones are being told.".into(),
        Saying::NobodyToEscalateTo => "It has ended, or its route has no escalation.".into(),
        Saying::Given { to } => format!("{to} has it now."),
        Saying::Released => "Nobody has it now.".into(),
        Saying::SilencedUntil { until, alerts } => format!("Silenced until {until}: {alerts} firing alerts match."),
        Saying::ConfirmSilence { alerts, hours } => {
            format!("This silence would cover {alerts} firing alerts for {hours} h. Press the button to set it all the same.")
        }
        Saying::NothingShared => "The alerts share no label: a silence would cover everything. Set it in Alertmanager.".into(),
        Saying::SilenceEnded => "The silence has ended.".into(),
        Saying::NoSilenceOfIt => "No silence of it was set here.".into(),
        Saying::NoApiAddress => "The configuration names no API address of this Alertmanager.".into(),
        Saying::AlertmanagerFailed => "Alertmanager did not do it; the log says why.".into(),
        Saying::Drawing => "The picture follows.".into(),
        Saying::NoExpression => "Its alerts name no expression.".into(),
        Saying::NoPicture { reason } => format!("No picture. {reason}"),
        Saying::NoPrometheus => "The configuration names no Prometheus.".into(),
        Saying::RoleForbids => "Your role does not allow that.".into(),
        Saying::WhoAreYou => "I cannot know who you are: write as yourself, not as the group.".into(),
        Saying::Stranger { user, chat } => {
            format!("You are not among my people. An administrator can add you: user {user}, chat {chat}.")
        }
        Saying::NotInThisChat { chat } => format!("I do not work in this chat ({chat})."),
        Saying::NothingOpen => "Nothing is open.".into(),
        Saying::Open { count } => format!("{count} open:"),
        Saying::NothingSilenced => "Nothing is silenced.".into(),
        Saying::Silences { count } => format!("{count} silences:"),
        Saying::OnDutyUntil { until, next } => format!("until {until}, then {next}"),
        Saying::OnDuty => "On duty:".into(),
        Saying::Overridden { schedule, person, until } => format!("{schedule}: {person} is on duty until {until}."),
        Saying::OverrideEnded { schedule } => format!("{schedule}: the override has ended, the schedule counts again."),
        Saying::NoOverride { schedule } => format!("{schedule} has no override by command."),
        Saying::NoSchedules => "The configuration has no schedules.".into(),
        Saying::Usage { usage } => format!("Write it as {usage}"),
        Saying::TryAgain => "That did not work: nothing was changed. Try again.".into(),
        Saying::Ids { chat, user } => format!("Chat {chat}, user {user}."),
        Saying::Help => HELP.into(),
        Saying::Handover { schedule, from, to } => format!("{schedule}: {to} is on duty now, {from} goes."),
        Saying::YouBegin { schedule, until } => format!("You are on duty now: {schedule}, until {until}."),
        Saying::YouEnd { schedule, to } => format!("Your duty has ended: {schedule}. Now: {to}."),
    }
}

const HELP: &str = "/alerts what is open
/ack <number> take it
/release <number> give it back
/escalate <number> tell the next ones now
/assign <number> <name> hand it over
/silences what is silenced
/unsilence <id> end a silence
/oncall who is on duty
/override <schedule> [name] 8h stand in until then; off ends it
/graph <PromQL> draw the last hour
/id the ids of this chat and of you";

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
