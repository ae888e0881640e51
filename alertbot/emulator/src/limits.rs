//! This module counts messages and edits against Telegram's limits
//! (<https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this>), and holds the windows of `retry_after`. It is
//! pure: time is an argument.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Telegram says about one message a second to a chat with short bursts, 20 a minute to a group, 30 a second in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelegramLimits {
    /// Messages a second to one chat, on average.
    pub chat_per_second: u32,
    /// How many of them may come at once.
    pub chat_burst: u32,
    /// Messages to one group or channel in any 60 seconds.
    pub group_per_minute: u32,
    /// Messages of one bot in any second.
    pub bot_per_second: u32,
    /// Switches all of them off.
    pub off: bool,
}

impl Default for TelegramLimits {
    fn default() -> Self {
        Self { chat_per_second: 1, chat_burst: 3, group_per_minute: 20, bot_per_second: 30, off: false }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Recent messages, and the scopes that must wait.
#[derive(Debug, Default)]
pub struct Usage {
    chats: BTreeMap<(i64, i64), VecDeque<Duration>>,
    bots: BTreeMap<i64, VecDeque<Duration>>,
    windows: BTreeMap<Scope, Window>,
}

/// Scope of a 429: one bot in one chat, or one bot's method without a chat.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Chat(i64, i64),
    Method(i64, String),
}

#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Duration,
    end: Duration,
}

impl Usage {
    /// Counts a message, or returns the time to wait.
    pub fn take(&mut self, limits: &TelegramLimits, bot: i64, chat: i64, is_group: bool, now: Duration) -> Result<(), Duration> {
        if limits.off {
            return Ok(());
        }
        let sent = self.chats.entry((bot, chat)).or_default();
        drop_before(sent, now, MINUTE);
        // A burst of n at one a second: the n-th last message is at least n seconds old.
        let burst = limits.chat_burst.max(1);
        let span = SECOND * burst / limits.chat_per_second.max(1);
        let mut wait = wait_for(sent, burst, span, now);
        if is_group {
            wait = wait.max(wait_for(sent, limits.group_per_minute, MINUTE, now));
        }
        let of_bot = self.bots.entry(bot).or_default();
        drop_before(of_bot, now, SECOND);
        wait = wait.max(wait_for(of_bot, limits.bot_per_second, SECOND, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        sent.push_back(now);
        of_bot.push_back(now);
        Ok(())
    }

    /// Start and end of the scope's `retry_after`.
    pub fn window(&self, scope: &Scope, now: Duration) -> Option<(Duration, Duration)> {
        self.windows.get(scope).filter(|window| now < window.end).map(|window| (window.begun, window.end))
    }

    /// Records an answered 429.
    pub fn silence(&mut self, scope: Scope, seconds: u64, now: Duration) {
        self.windows.retain(|_, window| now < window.end);
        let end = now + Duration::from_secs(seconds);
        let window = self.windows.entry(scope).or_insert(Window { begun: now, end });
        window.end = window.end.max(end);
    }
}

fn drop_before(sent: &mut VecDeque<Duration>, now: Duration, span: Duration) {
    while sent.front().is_some_and(|time| now.saturating_sub(*time) >= span) {
        sent.pop_front();
    }
}

/// Until the `count`-th last message is `span` old.
fn wait_for(sent: &VecDeque<Duration>, count: u32, span: Duration, now: Duration) -> Duration {
    let Some(place) = sent.len().checked_sub(count.max(1) as usize) else { return Duration::ZERO };
    (sent[place] + span).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(1_000_000 + milliseconds)
    }

    #[test]
    fn a_group_takes_twenty_in_any_minute() {
        let (mut usage, limits) = (Usage::default(), TelegramLimits::default());
        for message in 0..20 {
            usage.take(&limits, 1, -5, true, at(message * 1500)).unwrap();
        }
        assert_eq!(usage.take(&limits, 1, -5, true, at(30_000)), Err(Duration::from_secs(30)));
        assert_eq!(usage.take(&limits, 1, -5, true, at(60_000)), Ok(()));
        assert_eq!(usage.take(&limits, 1, -5, true, at(60_001)), Err(Duration::from_millis(1499)));
        // A private chat and another bot have their own limits.
        assert_eq!(usage.take(&limits, 2, -5, true, at(60_001)), Ok(()));
    }

    #[test]
    fn a_chat_takes_one_a_second_after_a_short_burst() {
        let (mut usage, limits) = (Usage::default(), TelegramLimits::default());
        let mut sent = 0;
        for tick in 0..100 {
            sent += u32::from(usage.take(&limits, 1, 7, false, at(tick * 100)).is_ok());
        }
        assert_eq!(sent, 12, "three at once, then as many in every three seconds");
    }

    #[test]
    fn a_bot_sends_thirty_a_second_over_all_chats() {
        let (mut usage, limits) = (Usage::default(), TelegramLimits::default());
        let sent = (0..40).filter(|chat| usage.take(&limits, 1, *chat, false, at(0)).is_ok()).count();
        assert_eq!(sent, 30);
        assert_eq!(usage.take(&limits, 1, 99, false, at(999)), Err(Duration::from_millis(1)));
        assert_eq!(usage.take(&limits, 1, 99, false, at(1000)), Ok(()));
    }

    #[test]
    fn a_window_lasts_as_long_as_it_said() {
        let mut usage = Usage::default();
        let scope = Scope::Chat(1, 5);
        usage.silence(scope.clone(), 30, at(0));
        usage.silence(scope.clone(), 5, at(1000));
        assert_eq!(usage.window(&scope, at(29_999)), Some((at(0), at(30_000))));
        assert_eq!(usage.window(&scope, at(30_000)), None);
        assert_eq!(usage.window(&Scope::Chat(1, 6), at(1)), None);
    }
}
