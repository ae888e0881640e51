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
        Saying::Reopened => "fires again".into(),
        Saying::Flapping => "fires again and again: changes are only edited in until it calms down".into(),
        Saying::SeverityRaised { from, to } => format!("{} now, was {}", to.name(), from.name()),
        Saying::Joined { count: 1 } => "one more alert fires".into(),
        Saying::Joined { count } => format!("{count} more alerts fire"),
        Saying::Escalated { to, by: Some(by) } => format!("{by} escalated: told now {to}"),
        Saying::Escalated { to, by: None } => format!("nobody has acknowledged: told now {to}"),
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
        Saying::Handover { schedule, from, to } => format!("{schedule}: {to} is on duty now, {from} goes."),
        Saying::YouBegin { schedule, until } => format!("You are on duty now: {schedule}, until {until}."),
        Saying::YouEnd { schedule, to } => format!("Your duty has ended: {schedule}. Now: {to}."),
    }
}

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
