//! This module holds the limits of the planner. Telegram's:
//! <https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>.

use std::{collections::BTreeMap, time::Duration};

use crate::delivery::Address;

/// The limits of every carrier.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub carriers: BTreeMap<String, CarrierLimits>,
}

/// The limits of one bot or provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarrierLimits {
    /// Calls over all lanes
    pub overall: usize,
    /// within this time.
    pub overall_within: Duration,
    /// Calls per minute to a private chat or a phone.
    pub private_per_minute: usize,
    /// Calls per minute to a group.
    pub group_per_minute: usize,
    /// Minimum time between the end of a call in a lane and the next one.
    pub apart: Duration,
    /// Messages waiting in one lane are sent as one.
    pub together: bool,
}

impl CarrierLimits {
    /// Telegram's limits, with the budgets of the configuration.
    pub fn telegram(overall_per_second: usize, private_per_minute: usize, group_per_minute: usize) -> Self {
        Self {
            overall: overall_per_second,
            overall_within: SECOND,
            private_per_minute,
            group_per_minute,
            apart: TELEGRAM_APART,
            together: false,
        }
    }

    /// A provider's limits: waiting messages for one person become one message.
    pub fn phone(per_minute: usize) -> Self {
        Self {
            overall: per_minute,
            overall_within: MINUTE,
            private_per_minute: PHONE_PER_MINUTE,
            group_per_minute: PHONE_PER_MINUTE,
            apart: PHONE_APART,
            together: true,
        }
    }

    pub(super) fn per_minute(&self, lane: &Address) -> usize {
        match lane {
            Address::Telegram { chat, .. } if *chat < 0 => self.group_per_minute,
            _ => self.private_per_minute,
        }
    }
}

/// The part of a budget reserved for critical messages: a sixth, at least one call.
pub(super) fn kept_for_critical(budget: usize) -> usize {
    if budget > 1 { budget.div_ceil(KEPT_SHARE) } else { 0 }
}

const KEPT_SHARE: usize = 6;
const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Telegram accepts about one message a second in a chat.
const TELEGRAM_APART: Duration = Duration::from_millis(1050);
/// Time to read one SMS before the next one.
const PHONE_APART: Duration = Duration::from_secs(20);
const PHONE_PER_MINUTE: usize = 3;
/// Clocks of two machines differ, and a call arrives after it leaves, so windows are longer by this time.
pub(super) const WINDOW_MARGIN: Duration = Duration::from_millis(300);
/// No call starts within this time after a `retry_after`.
pub(super) const RETRY_MARGIN: Duration = Duration::from_millis(500);
/// Most incidents in one digest, so that it fits one message.
pub const DIGEST_GROUPS: usize = 30;
/// Fewer waiting messages than this are sent one by one even if budget is short.
pub(super) const DIGEST_FROM: usize = 4;
/// After this wait a message counts as ordinary, so that no message starves.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
