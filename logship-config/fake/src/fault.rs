//! This module injects faults that a test enables for `_bulk` or another path: how often, and for which requests.

use std::time::Duration;

use crate::{answer::FakeAnswer, call::ReceivedCall};

/// What befalls a request or its items.
#[derive(Debug, Clone, PartialEq)]
pub enum InjectedKind {
    /// The whole request is answered so, and nothing is done.
    Request { status: u16, error: &'static str, reason: &'static str },
    /// A share of the items, 0 to 1, is answered so, and nothing is done with them.
    Items { share: f64, status: u16, error: &'static str, reason: &'static str },
    /// 413 for a body of more bytes.
    Limit { bytes: usize },
    /// Nothing is done, and the connection breaks.
    Broken,
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
    /// It is done, and the answer breaks off in its middle.
    AnswerCut,
    /// It is done and answered so much later.
    Slow(Duration),
    /// Documents with the same `_id` are stored each time, as in a server that does not deduplicate ids.
    ForgetsIds,
}

impl InjectedKind {
    /// A share of the items is answered 429.
    pub fn busy_items(share: f64) -> Self {
        let reason = "rejected execution of primary operation";
        Self::Items { share, status: 429, error: "es_rejected_execution_exception", reason }
    }

    /// Every request is answered 503.
    pub fn unavailable() -> Self {
        Self::Request { status: 503, error: "unavailable_shards_exception", reason: "primary shard is not active" }
    }
}

/// A fault and the requests that it affects. An absent condition matches every request.
#[derive(Debug, Clone, PartialEq)]
pub struct InjectedFault {
    kind: InjectedKind,
    /// Requests left that it befalls.
    times: Option<u64>,
    /// Of the requests.
    share: f64,
    /// The data stream or index that an item names.
    index: Option<String>,
    /// The end of the path.
    path: &'static str,
}

impl InjectedFault {
    /// Befalls every `_bulk` until it is cleared.
    pub fn new(kind: InjectedKind) -> Self {
        Self { kind, times: None, share: 1.0, index: None, path: "/_bulk" }
    }

    /// Befalls the requests whose path ends so, in place of `_bulk`.
    #[must_use]
    pub fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// Befalls the next so many requests.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Befalls such a share of the requests, 0 to 1.
    #[must_use]
    pub fn share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// Befalls items for one data stream or index only.
    #[must_use]
    pub fn on(self, index: &str) -> Self {
        Self { index: Some(index.to_owned()), ..self }
    }
}

/// How an answer leaves, or does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    pub delay: Duration,
    pub loss: InjectedLoss,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InjectedLoss {
    #[default]
    None,
    /// Before anything is done.
    Request,
    Answer,
    /// In the middle of the answer.
    HalfAnswer,
}

/// The enabled faults. Randomness comes from a seed: the same calls meet the same faults.
#[derive(Debug, Clone)]
pub struct InjectedFaults {
    set: Vec<InjectedFault>,
    /// The faults that affect the present request.
    befalling: Vec<InjectedFault>,
    dice: u64,
}

impl Default for InjectedFaults {
    fn default() -> Self {
        Self { set: Vec::new(), befalling: Vec::new(), dice: 0x9e37_79b9_7f4a_7c15 }
    }
}

impl InjectedFaults {
    pub fn add(&mut self, fault: InjectedFault) {
        self.set.push(fault);
    }

    pub fn clear(&mut self) {
        self.set.clear();
    }

    /// Another course of chance.
    pub fn seed(&mut self, seed: u64) {
        // Never nothing: its sequence would stay there.
        self.dice = seed | 1;
    }

    /// Begins a request: picks what befalls it, and says how its answer leaves.
    pub(crate) fn begin(&mut self, call: &ReceivedCall) -> Delivery {
        self.befalling.clear();
        let mut delivery = Delivery::default();
        for position in 0..self.set.len() {
            let InjectedFault { times, share, path, .. } = self.set[position];
            if times == Some(0) || !call.path.ends_with(path) || share < 1.0 && self.roll() >= share {
                continue;
            }
            let fault = &mut self.set[position];
            fault.times = fault.times.map(|times| times - 1);
            match fault.kind {
                InjectedKind::Broken => delivery.loss = InjectedLoss::Request,
                InjectedKind::AnswerLost => delivery.loss = InjectedLoss::Answer,
                InjectedKind::AnswerCut => delivery.loss = InjectedLoss::HalfAnswer,
                InjectedKind::Slow(delay) => delivery.delay = delay,
                _ => self.befalling.push(fault.clone()),
            }
        }
        delivery
    }

    /// The answer in place of doing anything.
    pub(crate) fn request(&self, call: &ReceivedCall) -> Option<FakeAnswer> {
        self.befalling.iter().find_map(|fault| match fault.kind {
            InjectedKind::Request { status, error, reason } => Some(FakeAnswer::error(status, error, reason)),
            InjectedKind::Limit { bytes } if call.body.len() > bytes => {
                Some(FakeAnswer::error(413, "content_too_long_exception", "entity content is too long"))
            }
            _ => None,
        })
    }

    /// The answer for an item in place of doing anything with it.
    pub(crate) fn item(&mut self, index: &str) -> Option<FakeAnswer> {
        for position in 0..self.befalling.len() {
            let fault = &self.befalling[position];
            let InjectedKind::Items { share, status, error, reason } = fault.kind else { continue };
            if fault.index.as_deref().is_none_or(|only| only == index) && self.roll() < share {
                return Some(FakeAnswer::error(status, error, reason));
            }
        }
        None
    }

    pub(crate) fn forgets_ids(&self) -> bool {
        self.befalling.iter().any(|fault| fault.kind == InjectedKind::ForgetsIds)
    }

    /// Between 0 and 1 (Marsaglia's xorshift64*).
    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        const MANTISSA_BITS: u32 = 53;
        (self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> (u64::BITS - MANTISSA_BITS)) as f64 / (1_u64 << MANTISSA_BITS) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk() -> ReceivedCall {
        ReceivedCall::new("POST", "/_bulk", vec![b'x'; 100])
    }

    #[test]
    fn befalls_bulk_only_as_often_as_it_says() {
        let mut faults = InjectedFaults::default();
        faults.add(InjectedFault::new(InjectedKind::unavailable()).times(1));
        faults.begin(&ReceivedCall::new("GET", "/_cluster/health", Vec::new()));
        assert_eq!(faults.request(&bulk()), None);
        faults.begin(&bulk());
        assert_eq!(faults.request(&bulk()).unwrap().status, 503);
        faults.begin(&bulk());
        assert_eq!(faults.request(&bulk()), None);
    }

    #[test]
    fn a_share_is_about_a_share() {
        let mut faults = InjectedFaults::default();
        faults.add(InjectedFault::new(InjectedKind::busy_items(0.25)).on("a"));
        faults.begin(&bulk());
        let busy = (0..10_000).filter(|_| faults.item("a").is_some()).count();
        assert!((2_300..2_700).contains(&busy), "{busy}");
        assert_eq!(faults.item("b"), None);
        faults.clear();
        faults.add(InjectedFault::new(InjectedKind::Broken).share(0.5));
        let broken = (0..1_000).filter(|_| faults.begin(&bulk()).loss == InjectedLoss::Request).count();
        assert!((400..600).contains(&broken), "{broken}");
    }

    #[test]
    fn a_limit_is_one_of_bytes() {
        let mut faults = InjectedFaults::default();
        faults.add(InjectedFault::new(InjectedKind::Limit { bytes: 99 }));
        faults.begin(&bulk());
        assert_eq!(faults.request(&bulk()).unwrap().status, 413);
        assert_eq!(faults.request(&ReceivedCall::new("POST", "/_bulk", vec![b'x'; 99])), None);
    }
}
