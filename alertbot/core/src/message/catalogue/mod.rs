//! This module contains all texts of the bot in every language. A language is one function over [`Text`] and one over [`Word`],
//! so that the compiler finds missing texts. Texts are plain: callers must escape them for HTML.

mod english;
mod persian;

use super::age::Age;
use crate::{alert::Severity, incident::Phase, message::Language};

/// Single words and short labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Critical,
    Warning,
    Info,
    Firing,
    Acknowledged,
    Resolved,
    Since,
    Lasted,
    Value,
    Runbook,
    Dashboard,
    Logs,
    Source,
    SilenceLink,
    Suppressed,
    Gone,
    Acknowledge,
    AcknowledgeAll,
    Release,
    Escalate,
    Graph,
    Unsilence,
    Repetition,
    Nobody,
    Test,
}

impl Word {
    pub const ALL: [Self; 25] = [
        Self::Critical,
        Self::Warning,
        Self::Info,
        Self::Firing,
        Self::Acknowledged,
        Self::Resolved,
        Self::Since,
        Self::Lasted,
        Self::Value,
        Self::Runbook,
        Self::Dashboard,
        Self::Logs,
        Self::Source,
        Self::SilenceLink,
        Self::Suppressed,
        Self::Gone,
        Self::Acknowledge,
        Self::AcknowledgeAll,
        Self::Release,
        Self::Escalate,
        Self::Graph,
        Self::Unsilence,
        Self::Repetition,
        Self::Nobody,
        Self::Test,
    ];

    /// Its name in templates: `words.runbook`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Since => "since",
            Self::Lasted => "lasted",
            Self::Value => "value",
            Self::Runbook => "runbook",
            Self::Dashboard => "dashboard",
            Self::Logs => "logs",
            Self::Source => "source",
            Self::SilenceLink => "silence",
            Self::Suppressed => "suppressed",
            Self::Gone => "gone",
            Self::Acknowledge => "acknowledge",
            Self::AcknowledgeAll => "acknowledge_all",
            Self::Release => "release",
            Self::Escalate => "escalate",
            Self::Graph => "graph",
            Self::Unsilence => "unsilence",
            Self::Repetition => "repetition",
            Self::Nobody => "nobody",
            Self::Test => "test",
        }
    }

    pub fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Critical,
            Severity::Warning => Self::Warning,
            Severity::Info => Self::Info,
        }
    }

    pub fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Firing => Self::Firing,
            Phase::Acknowledged => Self::Acknowledged,
            Phase::Resolved => Self::Resolved,
        }
    }
}

/// Texts with values.
#[derive(Debug, Clone, Copy)]
pub enum Text<'a> {
    Age(Age),
    /// Numbers of firing and resolved alerts.
    Counts {
        firing: usize,
        resolved: usize,
    },
    More {
        count: u64,
    },
    /// Number of labels not shown.
    LabelsLeft {
        count: usize,
    },
    Reopened,
    Flapping,
    SeverityRaised {
        from: Severity,
        to: Severity,
    },
    Joined {
        count: usize,
    },
    /// `to` is a list of names, `by` the person who pressed the button.
    Escalated {
        to: &'a str,
        by: Option<&'a str>,
    },
    Reminded,
    /// The configuration no longer has an escalation for the incident.
    EscalationLost,
    /// The Watchdog is missing since this time.
    BlindSince {
        at: &'a str,
    },
    AcknowledgementEnded {
        by: &'a str,
    },
    Reassigned {
        to: &'a str,
        by: &'a str,
    },
    /// Titles and numbers of the incidents that cause this one.
    CausedBy {
        by: &'a str,
    },
    TakenBy {
        by: &'a str,
    },
    SilencedBy {
        by: &'a str,
        until: &'a str,
    },
    /// The head of a digest.
    Digest {
        count: usize,
    },
    /// How to acknowledge one of them.
    DigestHelp,
    SilenceFor {
        hours: u32,
    },
    /// For several incidents in one SMS or call.
    Several {
        count: usize,
    },
    /// The reply code of an SMS.
    Code {
        code: u32,
    },
    /// Answers to an SMS.
    CodeTaken {
        code: u32,
        title: &'a str,
    },
    CodeEnded {
        code: u32,
        title: &'a str,
    },
    CodeYours {
        code: u32,
    },
    CodeUnknown {
        code: u32,
    },
    /// Answers to buttons and commands. `incident` is a number, or a number and a title.
    Yours {
        incident: &'a str,
    },
    YoursAlready,
    AllYours {
        count: usize,
    },
    Ended,
    NoSuchIncident {
        named: &'a str,
    },
    Escalating,
    NobodyToEscalateTo,
    Given {
        to: &'a str,
    },
    Released,
    SilencedUntil {
        until: &'a str,
        alerts: usize,
    },
    ConfirmSilence {
        alerts: usize,
        hours: u32,
    },
    NothingShared,
    SilenceEnded,
    NoSilenceOfIt,
    NoApiAddress,
    AlertmanagerFailed,
    Drawing,
    NoExpression,
    /// The reason is not translated.
    NoPicture {
        reason: &'a str,
    },
    NoPrometheus,
    RoleForbids,
    WhoAreYou,
    Stranger {
        user: u64,
        chat: i64,
    },
    NotInThisChat {
        chat: i64,
    },
    NothingOpen,
    Open {
        count: usize,
    },
    NothingSilenced,
    Silences {
        count: usize,
    },
    OnDuty,
    /// When the next person takes over.
    OnDutyUntil {
        until: &'a str,
        next: &'a str,
    },
    NoSchedules,
    /// An override by command.
    Overridden {
        schedule: &'a str,
        person: &'a str,
        until: &'a str,
    },
    OverrideEnded {
        schedule: &'a str,
    },
    NoOverride {
        schedule: &'a str,
    },
    Usage {
        usage: &'a str,
    },
    TryAgain,
    Ids {
        chat: i64,
        user: u64,
    },
    Help,
    Handover {
        schedule: &'a str,
        from: &'a str,
        to: &'a str,
    },
    YouBegin {
        schedule: &'a str,
        until: &'a str,
    },
    YouEnd {
        schedule: &'a str,
        to: &'a str,
    },
}

pub fn word(language: Language, word: Word) -> &'static str {
    match language {
        Language::English => english::word(word),
        Language::Persian => persian::word(word),
    }
}

pub fn say(language: Language, saying: Text) -> String {
    match language {
        Language::English => english::say(saying),
        Language::Persian => persian::say(saying),
    }
}
