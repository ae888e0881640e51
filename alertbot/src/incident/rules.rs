//! What the route and its escalation policy ask of an incident, in the words of the state machine.

use jiff::SignedDuration;

/// Arguments of every decision. The writer makes them from the configuration, so a changed configuration counts from the
/// next decision on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Name of the escalation policy; `None` when the routes have none.
    pub policy: Option<String>,
    /// The wait before each step of the escalation policy, counted from the step before it; empty: nobody is called.
    pub waits: Vec<SignedDuration>,
    /// How often the steps are gone through. At least 1.
    pub rounds: usize,
    /// Whether everybody is called after the last round.
    pub then_everyone: bool,
    /// An acknowledgement ends after this long, if the incident has not; `None`: never.
    pub acknowledgement_lasts: Option<SignedDuration>,
    /// Whether Alertmanager's repetition of what is known already sounds while nobody has acknowledged.
    pub remind: bool,
    /// A group that fires again this soon after its end is the same incident.
    pub reopen_within: SignedDuration,
    pub flapping: Flapping,
    /// The source has several replicas: an end that one of them reports counts when a read of all of them confirms it, and after
    /// this long at the latest. `None`: it counts at once.
    pub confirm_within: Option<SignedDuration>,
}

/// When an incident is damped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// So many reopenings
    pub reopenings: usize,
    /// within this time
    pub within: SignedDuration,
    /// silence it until it has been calm for this long.
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
