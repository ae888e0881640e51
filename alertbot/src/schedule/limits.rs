//! The numbers that the planner keeps to. Telegram's: <https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>.

use std::{collections::BTreeMap, time::Duration};

use crate::notify::Address;

/// For every carrier, what it takes.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub carriers: BTreeMap<String, CarrierLimits>,
}

/// What one bot or provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarrierLimits {
    /// Calls over all lanes
    pub overall: usize,
    /// within this time.
    pub overall_within: Duration,
    /// Calls a minute to a private chat or a telephone.
    pub private_per_minute: usize,
    /// Calls a minute to a group.
    pub group_per_minute: usize,
    /// From the end of one call to a lane to the beginning of the next.
    pub apart: Duration,
    /// Messages waiting in one lane are sent as one.
    pub together: bool,
}

impl CarrierLimits {
    /// Telegram's, with the budgets of the configuration.
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

    /// A provider's: what waits for one person becomes one message.
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

/// Of the budget of a lane or a carrier, the part that only a critical may use: a sixth, at least one call.
pub(super) fn kept_for_critical(budget: usize) -> usize {
    if budget > 1 { budget.div_ceil(KEPT_SHARE) } else { 0 }
}

const KEPT_SHARE: usize = 6;
const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Telegram takes about one message a second in a chat.
const TELEGRAM_APART: Duration = Duration::from_millis(1050);
/// A person reads one SMS before the next one comes.
const PHONE_APART: Duration = Duration::from_secs(20);
const PHONE_PER_MINUTE: usize = 3;
/// Clocks of two machines run differently, and a call arrives later than it leaves: windows are this much longer.
pub(super) const WINDOW_MARGIN: Duration = Duration::from_millis(300);
/// Nothing is sent this long beyond a `retry_after`.
pub(super) const RETRY_MARGIN: Duration = Duration::from_millis(500);
/// Groups that one digest names at most, so that it stays one message.
pub const DIGEST_GROUPS: usize = 30;
/// Fewer waiting messages than this go out one by one even when budget is short.
pub(super) const DIGEST_FROM: usize = 4;
/// What has waited for this long in a lane counts as ordinary, whatever it is: nothing starves.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
