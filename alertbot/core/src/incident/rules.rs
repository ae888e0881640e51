//! This module holds the parameters that the route and its escalation policy give the state machine.

use jiff::SignedDuration;

/// Arguments of every decision. The writer builds them from the configuration, so a changed configuration applies from the next
/// decision on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Name of the escalation policy; `None` if the routes have none.
    pub policy: Option<String>,
    /// Wait before each step, counted from the previous step. Empty: no one is notified.
    pub waits: Vec<SignedDuration>,
    /// Number of rounds. At least 1.
    pub rounds: usize,
    /// Whether everyone is notified after the last round.
    pub then_everyone: bool,
    /// Timeout of an acknowledgement while the incident is open; `None`: no timeout.
    pub acknowledgement_lasts: Option<SignedDuration>,
    /// Whether a repetition by Alertmanager sounds while the incident is not acknowledged.
    pub remind: bool,
    /// A group that fires again within this time after its end reopens its incident.
    pub reopen_within: SignedDuration,
    pub flapping: Flapping,
    /// The source has several replicas. An end reported by one of them applies after a read of all confirms it, or at the latest
    /// after this time. `None`: it applies immediately.
    pub confirm_within: Option<SignedDuration>,
}

/// When an incident counts as flapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// This many reopenings
    pub reopenings: usize,
    /// within this time
    pub within: SignedDuration,
    /// mute it until it has been calm for this long.
    pub calm: SignedDuration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: None,
            waits: Vec::new(),
            rounds: 1,
            then_everyone: true,
            acknowledgement_lasts: None,
            remind: false,
            reopen_within: SignedDuration::from_hours(1),
            flapping: Flapping { reopenings: 3, within: SignedDuration::from_mins(30), calm: SignedDuration::from_mins(15) },
            confirm_within: None,
        }
    }
}
