//! This module counts rate limits: request weight per address, unfilled orders per account. It must not know the account's owner.
//!
//! - The weight of an address is the sum over all replicas. The engine's links report each replica's part (see `engine::weights`).
//!
//! Intervals start at whole multiples of their length, as at Binance. Memory is bounded: addresses by `ADDRESSES_MAX` (beyond it
//! they share one counter), accounts by their number.

use super::edge::raw_now;
use super::error::ApiError;
use crate::address_key::AddressKey;
use crate::config::RateLimits;
use crate::engine::committed::FirstFills;
use crate::engine::weights::{AddressWeight, WeightTable};
use exchange_core::money::Time;
use exchange_core::order::AccountId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use tokio::sync::Notify;

const SECOND: Time = 1_000_000;
const MINUTE: Time = 60 * SECOND;
const TEN_SECONDS: Time = 10 * SECOND;
const DAY: Time = 86_400 * SECOND;

/// Shards, each with its lock: more than cores, so that two requests seldom wait for each other.
const SHARDS: usize = 16;
/// Addresses with a separate counter.
const ADDRESSES_MAX: usize = 65_536;
/// Refused requests within a minute after which an address is banned.
const REFUSALS_BEFORE_BAN: u32 = 100;
const BAN_FIRST: Time = 2 * MINUTE;
const BAN_LONGEST: Time = 3 * DAY;
/// Unfilled orders that a maker order's first fill subtracts (faqs/order_count_decrement.md).
pub const MAKER_FIRST_FILL: u32 = 5;
/// Unfilled orders that a taker order's first fill subtracts.
pub const TAKER_FIRST_FILL: u32 = 1;

/// A replica reports an address at once after this share of the limit: replicas that are all busy exceed it by little.
const URGENT_SHARE: u32 = 100;
/// Replicas of one minute, restarted ones included, whose weights of an address are counted separately.
const ORIGINS_MAX: usize = 64;

#[derive(Debug, Default, Clone)]
struct Usage {
    minute: Time,
    /// Charged by this replica.
    used: u32,
    /// Charged by other replicas in the same minute.
    others: SmallVec<[(u64, u32); 2]>,
    /// Part of `used` that was reported to them.
    reported: u32,
    /// The address is in the list of changes.
    listed: bool,
    refused: u32,
    banned_until: Time,
    bans: u32,
}

/// Unfilled orders of one account.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct UnfilledOrders {
    window: Time,
    day: Time,
    pub ten_seconds: u32,
    pub one_day: u32,
}

/// The counters of some addresses.
#[derive(Debug, Default)]
struct AddressCounters {
    usage: FxHashMap<AddressKey, Usage>,
    /// Minute of the last cleanup of outdated counters: once a minute is sufficient and cheap.
    swept: Time,
    /// Addresses with changes that were not reported yet.
    changed: Vec<AddressKey>,
}

/// All counters of one replica.
#[derive(Debug)]
pub struct RequestLimits {
    settings: RateLimits,
    /// This replica's identity in reports.
    origin: u64,
    urgent: Notify,
    addresses: [Mutex<AddressCounters>; SHARDS],
    accounts: [Mutex<FxHashMap<AccountId, UnfilledOrders>>; SHARDS],
}

impl RequestLimits {
    pub fn new(settings: RateLimits) -> Self {
        Self {
            settings,
            origin: rand::random(),
            urgent: Notify::new(),
            addresses: Default::default(),
            accounts: Default::default(),
        }
    }

    pub const fn settings(&self) -> &RateLimits {
        &self.settings
    }

    /// Charges `weight` to the address. Returns the weight used in this minute on all replicas, and the refusal if it exceeds the
    /// limit.
    pub fn charge(&self, address: AddressKey, weight: u32, now: Time) -> (u32, Result<(), ApiError>) {
        let minute = now - now.rem_euclid(MINUTE);
        let mut guard = self.addresses[shard(&address)].lock();
        let table = &mut *guard;
        let full = |table: &AddressCounters| table.is_full_for(&address);
        if full(table) && table.swept != minute {
            table.swept = minute;
            let AddressCounters { usage, changed, .. } = table;
            usage.retain(|_, usage| usage.minute >= minute || usage.banned_until > now);
            changed.retain(|address| usage.contains_key(address));
        }
        // Beyond the bound, additional addresses share one counter.
        let address = if full(table) { AddressKey::SHARED } else { address };
        let usage = table.usage.entry(address).or_default();
        let result = usage.charge(weight, self.settings.weight_1m, now);
        if !std::mem::replace(&mut usage.listed, true) {
            table.changed.push(address);
        }
        if usage.used.saturating_sub(usage.reported) >= (self.settings.weight_1m / URGENT_SHARE).max(1) {
            self.urgent.notify_one();
        }
        (usage.total(), result)
    }

    /// Counts `orders` new orders of the account, or refuses all of them.
    ///
    /// # Errors
    ///
    /// Returns -1015 with the limit that they would exceed.
    pub fn take_orders(&self, account: AccountId, orders: u32, now: Time) -> Result<UnfilledOrders, ApiError> {
        let mut table = self.accounts[account as usize % SHARDS].lock();
        let count = table.entry(account).or_default();
        count.roll(now);
        let over = |used: u32, limit: u32| used.saturating_add(orders) > limit;
        if over(count.ten_seconds, self.settings.orders_10s) {
            return Err(ApiError::too_many_orders(self.settings.orders_10s, "10 SECOND", seconds_left(now, TEN_SECONDS)));
        }
        if over(count.one_day, self.settings.orders_1d) {
            return Err(ApiError::too_many_orders(self.settings.orders_1d, "1 DAY", seconds_left(now, DAY)));
        }
        count.ten_seconds += orders;
        count.one_day += orders;
        Ok(*count)
    }

    /// Subtracts `orders` from the count, after a refusal or an order's first fill. The count does not go below zero.
    pub fn give_back(&self, account: AccountId, orders: u32, now: Time) {
        if let Some(count) = self.accounts[account as usize % SHARDS].lock().get_mut(&account) {
            count.roll(now);
            count.ten_seconds = count.ten_seconds.saturating_sub(orders);
            count.one_day = count.one_day.saturating_sub(orders);
        }
    }

    /// The account's current count.
    pub fn orders(&self, account: AccountId, now: Time) -> UnfilledOrders {
        let mut count = self.accounts[account as usize % SHARDS].lock().get(&account).copied().unwrap_or_default();
        count.roll(now);
        count
    }
}

impl AddressCounters {
    /// Whether the table has no place for this address.
    fn is_full_for(&self, address: &AddressKey) -> bool {
        self.usage.len() >= ADDRESSES_MAX / SHARDS && !self.usage.contains_key(address)
    }
}

impl RequestLimits {
    fn merge_at(&self, weights: &[AddressWeight], now: Time) {
        for weight in weights.iter().filter(|weight| weight.origin != self.origin && weight.minute <= now + MINUTE) {
            let mut table = self.addresses[shard(&weight.address)].lock();
            if !table.is_full_for(&weight.address) {
                table.usage.entry(weight.address).or_default().merge(weight, now);
            }
        }
    }

    fn all_at(&self, now: Time) -> Vec<AddressWeight> {
        let mut weights = Vec::new();
        for table in &self.addresses {
            for (address, usage) in &table.lock().usage {
                if usage.minute + MINUTE > now || usage.banned_until > now {
                    let parts = std::iter::once((self.origin, usage.used)).chain(usage.others.iter().copied());
                    weights.extend(parts.map(|(origin, used)| usage.weight(*address, origin, used)));
                }
            }
        }
        weights
    }
}

impl WeightTable for RequestLimits {
    fn changed(&self) -> Vec<AddressWeight> {
        let mut weights = Vec::new();
        for table in &self.addresses {
            let mut guard = table.lock();
            let table = &mut *guard;
            for address in table.changed.drain(..) {
                // Absent: swept since.
                if let Some(usage) = table.usage.get_mut(&address) {
                    (usage.listed, usage.reported) = (false, usage.used);
                    weights.push(usage.weight(address, self.origin, usage.used));
                }
            }
        }
        weights
    }

    fn all(&self) -> Vec<AddressWeight> {
        self.all_at(raw_now())
    }

    fn merge(&self, weights: &[AddressWeight]) {
        self.merge_at(weights, raw_now());
    }

    fn urgent(&self) -> &Notify {
        &self.urgent
    }
}

impl FirstFills for RequestLimits {
    /// Filled orders do not count, and a maker's fill subtracts more than its own order (faqs/order_count_decrement.md).
    fn first_fill(&self, account: AccountId, as_maker: bool) {
        self.give_back(account, if as_maker { MAKER_FIRST_FILL } else { TAKER_FIRST_FILL }, raw_now());
    }
}

impl Usage {
    fn charge(&mut self, weight: u32, limit: u32, now: Time) -> Result<(), ApiError> {
        if self.banned_until > now {
            return Err(self.banned(now));
        }
        self.roll(now - now.rem_euclid(MINUTE), now);
        self.used = self.used.saturating_add(weight);
        if self.total() <= limit {
            return Ok(());
        }
        self.refused += 1;
        if self.refused > REFUSALS_BEFORE_BAN {
            let length = BAN_FIRST.saturating_mul(1 << self.bans.min(20)).min(BAN_LONGEST);
            self.bans += 1;
            self.banned_until = now + length;
            return Err(self.banned(now));
        }
        Err(ApiError::weight_used(limit, seconds_left(now, MINUTE)))
    }

    /// Starts the minute `minute`, unless it has started. The clock of another replica may be slightly ahead: its minute stays.
    fn roll(&mut self, minute: Time, now: Time) {
        if minute > self.minute || self.minute > minute + MINUTE {
            // After a long time without a ban the next one is short again.
            let forgiven = self.banned_until + BAN_LONGEST < now;
            let bans = if forgiven { 0 } else { self.bans };
            *self = Self { minute, bans, banned_until: self.banned_until, listed: self.listed, ..Self::default() };
        }
    }

    /// Used on all replicas.
    fn total(&self) -> u32 {
        self.others.iter().fold(self.used, |sum, (_, used)| sum.saturating_add(*used))
    }

    fn weight(&self, address: AddressKey, origin: u64, used: u32) -> AddressWeight {
        AddressWeight { address, origin, minute: self.minute, used, banned_until: self.banned_until }
    }

    /// Adds the part of another replica.
    fn merge(&mut self, weight: &AddressWeight, now: Time) {
        if weight.banned_until > self.banned_until && weight.banned_until <= now + BAN_LONGEST {
            self.banned_until = weight.banned_until;
            self.bans = self.bans.max(1);
        }
        if weight.minute < self.minute {
            return;
        }
        self.roll(weight.minute, now);
        if let Some((_, used)) = self.others.iter_mut().find(|(origin, _)| *origin == weight.origin) {
            *used = (*used).max(weight.used);
        } else if self.others.len() < ORIGINS_MAX {
            self.others.push((weight.origin, weight.used));
        }
    }

    fn banned(&self, now: Time) -> ApiError {
        let left = self.banned_until - now;
        ApiError::banned(self.banned_until / 1000, (left as u64).div_ceil(SECOND as u64))
    }
}

impl UnfilledOrders {
    fn roll(&mut self, now: Time) {
        let (window, day) = (now - now.rem_euclid(TEN_SECONDS), now - now.rem_euclid(DAY));
        if self.window != window {
            (self.window, self.ten_seconds) = (window, 0);
        }
        if self.day != day {
            (self.day, self.one_day) = (day, 0);
        }
    }
}

/// Whole seconds until the interval ends, at least 1.
fn seconds_left(now: Time, interval: Time) -> u64 {
    ((interval - now.rem_euclid(interval)) as u64).div_ceil(SECOND as u64)
}

fn shard(address: &AddressKey) -> usize {
    // An IPv4 address is in the low half, the /64 of an IPv6 address in the high half.
    let bits = address.to_bits();
    let mixed = (bits >> 64) as u64 ^ bits as u64;
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Time = 1_700_000_040 * SECOND;
    fn key(text: &str) -> AddressKey {
        AddressKey::new(text.parse().unwrap())
    }

    fn client() -> AddressKey {
        key("203.0.113.7")
    }

    fn limits(weight_1m: u32, orders_10s: u32) -> RequestLimits {
        RequestLimits::new(RateLimits { weight_1m, orders_10s, orders_1d: 1_000 })
    }

    #[test]
    fn weight_is_refused_with_429_then_418_for_longer_each_time() {
        let limits = limits(10, 1);
        assert!(limits.charge(client(), 10, NOON).1.is_ok());
        let (used, refused) = limits.charge(client(), 1, NOON + 15 * SECOND);
        let refused = refused.unwrap_err();
        assert_eq!((used, refused.status.as_u16(), refused.code, refused.retry_after), (11, 429, -1003, Some(45)));
        assert!(refused.text.starts_with("Too much request weight used; current limit is 10 request weight per 1 MINUTE."));
        let mut now = NOON;
        for length in [120, 240, 480] {
            let banned = (0..=REFUSALS_BEFORE_BAN).map(|_| limits.charge(client(), 11, now).1.unwrap_err()).last().unwrap();
            assert_eq!((banned.status.as_u16(), banned.retry_after), (418, Some(length)));
            assert!(banned.text.contains(&format!("IP banned until {}", now / 1000 + length as i64 * 1000)));
            now += length as i64 * SECOND;
            assert!(limits.charge(client(), 10, now).1.is_ok(), "the ban is over");
            now += MINUTE;
        }
    }

    #[test]
    fn another_minute_or_address_has_its_own_weight() {
        let limits = limits(10, 1);
        assert!(limits.charge(client(), 11, NOON).1.is_err());
        assert!(limits.charge(key("2001:db8::1"), 10, NOON).1.is_ok());
        assert!(limits.charge(key("2001:db8::2"), 1, NOON).1.is_err(), "one /64 is one client");
        assert!(limits.charge(key("::ffff:203.0.113.8"), 10, NOON).1.is_ok());
        assert!(limits.charge(key("203.0.113.8"), 1, NOON).1.is_err(), "a mapped address is the same client");
        assert!(limits.charge(client(), 10, NOON + MINUTE).1.is_ok());
    }

    #[test]
    fn the_weight_of_an_address_is_the_sum_over_replicas() {
        let (here, there, third) = (limits(10, 1), limits(10, 1), limits(10, 1));
        let used = |limits: &RequestLimits, weight, now| limits.charge(client(), weight, now).0;
        assert_eq!((used(&here, 4, NOON), used(&there, 3, NOON)), (4, 3));
        let (report, other) = (here.changed(), there.changed());
        assert_eq!((report.len(), here.changed().len()), (1, 0), "a change is reported once");
        there.merge_at(&report, NOON);
        // Repeated, out of order, and its own: nothing changes.
        here.merge_at(&other, NOON);
        here.merge_at(&other, NOON);
        here.merge_at(&report, NOON);
        assert_eq!((used(&here, 1, NOON), used(&there, 1, NOON)), (8, 8));
        assert_eq!(used(&here, 1, NOON), 9);
        there.merge_at(&here.changed(), NOON);
        there.merge_at(&report, NOON);
        // A third replica learns everything from the second: the first may be lost.
        third.merge_at(&there.all_at(NOON), NOON);
        assert_eq!(used(&third, 0, NOON), 10);
        assert!(third.charge(client(), 1, NOON).1.is_err());
        assert_eq!(used(&third, 1, NOON + MINUTE), 1, "another minute");
        third.merge_at(&report, NOON + MINUTE);
        assert_eq!(used(&third, 1, NOON + MINUTE), 2, "a report of the last minute");
        // The other clock is ahead by a moment: its minute has begun.
        let ahead = [AddressWeight { minute: NOON + 2 * MINUTE, used: 5, ..report[0] }];
        third.merge_at(&ahead, NOON + 2 * MINUTE - 1);
        assert_eq!(used(&third, 1, NOON + 2 * MINUTE - 1), 6);
        assert_eq!(used(&third, 1, NOON + 2 * MINUTE), 7);
    }

    #[test]
    fn a_ban_holds_on_every_replica() {
        let (here, there) = (limits(10, 1), limits(10, 1));
        for _ in 0..=REFUSALS_BEFORE_BAN {
            assert!(here.charge(client(), 11, NOON).1.is_err());
        }
        there.merge_at(&here.changed(), NOON);
        assert_eq!(there.charge(client(), 1, NOON + MINUTE).1.unwrap_err().status.as_u16(), 418);
    }

    #[test]
    fn the_memory_of_addresses_is_bounded() {
        let limits = limits(10, 1);
        for n in 0..200_000u32 {
            let _ = limits.charge(AddressKey::new(std::net::IpAddr::V4(n.into())), 1, NOON);
        }
        let held: usize = limits.addresses.iter().map(|table| table.lock().usage.len()).sum();
        assert!(held <= ADDRESSES_MAX + SHARDS, "{held}");
        for n in 0..1_000u32 {
            let _ = limits.charge(AddressKey::new(std::net::IpAddr::V4(n.into())), 1, NOON + MINUTE);
        }
        assert!(limits.addresses.iter().map(|table| table.lock().usage.len()).sum::<usize>() <= ADDRESSES_MAX + SHARDS);
    }

    #[test]
    fn orders_are_counted_per_interval_and_given_back() {
        let limits = limits(1, 5);
        for _ in 0..5 {
            limits.take_orders(7, 1, NOON).unwrap();
        }
        let refused = limits.take_orders(7, 1, NOON + 4 * SECOND).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.code, refused.retry_after), (429, -1015, Some(6)));
        assert_eq!(refused.text, "Too many new orders; current limit is 5 orders per 10 SECOND.");
        // The documented maker example: five orders, the first fill gives five back, more fills give nothing.
        limits.give_back(7, MAKER_FIRST_FILL, NOON);
        limits.give_back(7, MAKER_FIRST_FILL, NOON);
        assert_eq!(limits.take_orders(7, 1, NOON).unwrap().ten_seconds, 1);
        let later = limits.orders(7, NOON + TEN_SECONDS);
        assert_eq!((later.ten_seconds, later.one_day), (0, 1));
        assert_eq!(limits.orders(7, NOON + DAY).one_day, 0);
        assert!(limits.take_orders(8, 6, NOON).is_err());
    }
}
