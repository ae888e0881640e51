//! This module injects faults: their kind, the calls that they affect, and their duration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The effect on a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// 429. Without `retry_after` it is what remains of the fault's time.
    TooManyRequests { retry_after: Option<u64> },
    /// Such as 500, 502, 503, 504; nothing is done.
    ServerError { code: u16 },
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
    /// Nothing is done, and the connection breaks.
    Broken,
    /// It is done `milliseconds` after it arrived, and answered.
    Slow { milliseconds: u64 },
    /// It is done at once and answered `milliseconds` later.
    SlowAnswer { milliseconds: u64 },
    /// 400 `can't parse entities`, whatever the text is.
    Unparsable,
}

impl FaultKind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::ServerError { .. } => "server_error",
            Self::AnswerLost => "answer_lost",
            Self::Broken => "broken",
            Self::Slow { .. } => "slow",
            Self::SlowAnswer { .. } => "slow_answer",
            Self::Unparsable => "unparsable",
        }
    }
}

/// A fault and the calls that it affects. A criterion that is not set matches every call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InjectedFault {
    #[serde(flatten)]
    pub kind: FaultKind,
    #[serde(default)]
    pub chat: Option<i64>,
    /// In any case of letters.
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    pub bot: Option<i64>,
    /// How many calls.
    #[serde(default)]
    pub times: Option<u32>,
    /// For how long.
    #[serde(default)]
    pub seconds: Option<f64>,
}

impl InjectedFault {
    /// Affects every call until it is cleared.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, chat: None, method: None, bot: None, times: None, seconds: None }
    }

    #[must_use]
    pub fn in_chat(self, chat: i64) -> Self {
        Self { chat: Some(chat), ..self }
    }

    #[must_use]
    pub fn on(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    #[must_use]
    pub fn lasting(self, time: Duration) -> Self {
        Self { seconds: Some(time.as_secs_f64()), ..self }
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Active {
    pub id: u64,
    #[serde(flatten)]
    pub fault: InjectedFault,
    #[serde(skip)]
    end: Option<Duration>,
}

/// Active faults. The first one that matches a call applies.
#[derive(Debug, Default)]
pub struct InjectedFaults {
    active: Vec<Active>,
    next: u64,
}

impl InjectedFaults {
    pub fn add(&mut self, fault: InjectedFault, now: Duration) -> u64 {
        self.next += 1;
        let end = fault
            .seconds
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .map(|seconds| now + Duration::from_secs_f64(seconds));
        self.active.push(Active { id: self.next, fault, end });
        self.next
    }

    pub fn remove(&mut self, id: u64) {
        self.active.retain(|active| active.id != id);
    }

    pub fn clear(&mut self) {
        self.active.clear();
    }

    pub fn active(&self) -> &[Active] {
        &self.active
    }

    /// The fault of this call, if any. A 429 gets its seconds here.
    pub fn befall(&mut self, bot: i64, method: &str, chat: Option<i64>, now: Duration) -> Option<FaultKind> {
        self.active.retain(|active| active.end.is_none_or(|end| now < end) && active.fault.times != Some(0));
        let fits = |active: &&mut Active| {
            let fault = &active.fault;
            fault.bot.is_none_or(|wanted| wanted == bot)
                && fault.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && fault.chat.is_none_or(|wanted| chat == Some(wanted))
        };
        let active = self.active.iter_mut().find(fits)?;
        active.fault.times = active.fault.times.map(|times| times - 1);
        let mut kind = active.fault.kind.clone();
        if let FaultKind::TooManyRequests { retry_after: retry_after @ None } = &mut kind {
            let remains = active.end.map_or(Duration::from_secs(1), |end| end.saturating_sub(now));
            *retry_after = Some(remains.as_secs_f64().ceil().max(1.0) as u64);
        }
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn befalls_only_whom_it_names_as_often_as_it_says() {
        let mut faults = InjectedFaults::default();
        faults.add(InjectedFault::new(FaultKind::AnswerLost).in_chat(5).on("sendMessage").times(2), NOW);
        assert_eq!(faults.befall(1, "sendmessage", Some(6), NOW), None);
        assert_eq!(faults.befall(1, "editmessagetext", Some(5), NOW), None);
        let met = [0; 3].map(|_| faults.befall(1, "sendmessage", Some(5), NOW));
        assert_eq!(met, [Some(FaultKind::AnswerLost), Some(FaultKind::AnswerLost), None]);
    }

    #[test]
    fn a_429_counts_down_to_the_end_of_its_time() {
        let mut faults = InjectedFaults::default();
        faults.add(InjectedFault::new(FaultKind::TooManyRequests { retry_after: None }).lasting(Duration::from_secs(60)), NOW);
        let mut at = |seconds| faults.befall(1, "sendmessage", Some(5), NOW + Duration::from_secs_f64(seconds));
        assert_eq!(at(0.0), Some(FaultKind::TooManyRequests { retry_after: Some(60) }));
        assert_eq!(at(42.5), Some(FaultKind::TooManyRequests { retry_after: Some(18) }));
        assert_eq!(at(60.0), None);
    }
}
