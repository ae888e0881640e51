//! This module is the incremental hash of the committed state, for the comparison between replicas at the same sequence. It must not
//! hash the whole state: see `snapshot::state_hash`.
//!
//! - A window covers the batches of one second of journal time. Every replica folds the same batches, so windows end at the same
//!   sequences without coordination.
//! - A fingerprint covers the effects of a window's events, the balances of the accounts that they touch, the best prices of every
//!   market, and a slice of all accounts that rotates. A difference in an untouched account appears after one rotation at the latest.
//! - Replicas of different releases compare fingerprints of the same form only. A change of the hashed fields needs a new [`FORM`].

use std::{collections::VecDeque, time::Instant};

use crc32fast::Hasher;
use exchange_core::{
    OrderList, State, TradeRecord, Transfer,
    money::{Amount, Time},
    order::{AccountId, Order, Side},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Version of the hashed fields.
pub const FORM: u32 = 1;
/// Length of a window, µs of journal time.
const WINDOW: Time = 1_000_000;
/// Accounts of the rotating slice, at least.
const SLICE: usize = 256;
/// Windows after which every account was in the slice.
const ROTATION: usize = 256;
/// Touched accounts of one window whose balances are hashed.
const TOUCHED: usize = 512;
/// Fingerprints that wait for their counterparts.
const REMEMBERED: usize = 32;

/// The hash of the window that ends at a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    pub sequence: u64,
    pub hash: u64,
}

/// The window that the fold fills.
#[derive(Debug, Default)]
pub(super) struct Window {
    effects: Hasher,
    touched: Vec<AccountId>,
    /// Every event since the start of the window was hashed.
    whole: bool,
}

/// The window of journal time `time`.
pub(super) const fn window(time: Time) -> Time {
    time.div_euclid(WINDOW)
}

impl Window {
    pub fn transfer(&mut self, transfer: &Transfer) {
        let Transfer { asset, amount, debit, credit } = *transfer;
        put(&mut self.effects, [1, asset.into(), amount, debit.0.into(), debit.1 as Amount, credit.0.into(), credit.1 as Amount]);
        self.touched.extend([debit.0, credit.0]);
        if self.touched.len() > 2 * TOUCHED {
            self.deduplicate();
        }
    }

    pub fn order_changed(&mut self, order: &Order) {
        let ids = [2, order.id.into(), order.account.into(), order.market.into(), order.status as Amount];
        put(&mut self.effects, ids);
        let amounts = [order.price.into(), order.quantity.into(), order.executed.into(), order.executed_quote, order.hold];
        put(&mut self.effects, amounts);
    }

    pub fn list_changed(&mut self, list: &OrderList) {
        put(&mut self.effects, [3, list.id.into(), list.account.into(), list.orders.len() as Amount, list.done.into()]);
    }

    pub fn traded(&mut self, trade: &TradeRecord) {
        let ids = [4, trade.trade.into(), trade.market.into(), trade.buyer_order.into(), trade.seller_order.into()];
        put(&mut self.effects, ids);
        put(&mut self.effects, [trade.price.into(), trade.quantity.into(), trade.buyer_commission, trade.seller_commission]);
    }

    /// The effects of some events of this window are unknown.
    pub fn skip(&mut self) {
        self.whole = false;
    }

    /// Ends the window at the state's sequence and begins the next. `None`: it was not whole.
    pub fn turn(&mut self, state: &State) -> Option<Fingerprint> {
        self.deduplicate();
        let ended = std::mem::replace(self, Self { whole: true, ..Self::default() });
        ended.whole.then(|| {
            let (effects, balances) = (ended.effects.clone().finalize(), ended.state(state));
            Fingerprint { sequence: state.sequence(), hash: u64::from(effects) << 32 | u64::from(balances) }
        })
    }

    /// The lowest [`TOUCHED`] of the touched accounts: the same on every replica.
    fn deduplicate(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
        self.touched.truncate(TOUCHED);
    }

    fn state(&self, state: &State) -> u32 {
        let mut hasher = Hasher::new();
        put(&mut hasher, [state.sequence().into(), state.now().into(), state.feature_level().into()]);
        for account in &self.touched {
            balances(&mut hasher, state, *account);
        }
        let accounts = state.accounts().len();
        let slice = (accounts / ROTATION).max(SLICE).min(accounts);
        let start = (window(state.now()).unsigned_abs() as usize).wrapping_mul(slice) % accounts.max(1);
        for account in state.accounts().skip(start).chain(state.accounts().take(start)).take(slice) {
            hasher.update(account.reference.as_bytes());
            balances(&mut hasher, state, account.id);
        }
        for market in state.markets() {
            for side in [Side::Buy, Side::Sell] {
                let (price, quantity) = state.best(market.id, side).unwrap_or_default();
                put(&mut hasher, [market.id.into(), price.into(), quantity]);
            }
        }
        hasher.finalize()
    }
}

fn balances(hasher: &mut Hasher, state: &State, account: AccountId) {
    for (asset, balance) in state.balances(account) {
        put(hasher, [account.into(), asset.into(), balance.free, balance.locked]);
    }
}

fn put<const N: usize>(hasher: &mut Hasher, words: [Amount; N]) {
    for word in words {
        hasher.update(&word.to_le_bytes());
    }
}

/// The last fingerprints of this replica and of its leader, and the doubt that follows from a difference.
#[derive(Debug)]
pub struct Fingerprints {
    table: Mutex<FingerprintTable>,
    /// This replica's last fingerprint, for its followers.
    pub(super) last: watch::Sender<Option<Fingerprint>>,
    /// A difference was found, or an accusation must be sent.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct FingerprintTable {
    ours: VecDeque<Fingerprint>,
    theirs: VecDeque<Fingerprint>,
    /// Sequence of the difference that is being examined.
    differs_at: Option<u64>,
    /// The leader's state differs from the journal: to be sent to it.
    accusation: Option<u64>,
    compared: u64,
    /// When this replica, as leader, accepted the last accusation.
    accepted: Option<Instant>,
}

/// Minimum time between two accusations that a leader accepts: replicas that disagree for ever must not trade the lead for ever.
const ACCUSATION_PAUSE: std::time::Duration = std::time::Duration::from_secs(600);

impl Default for Fingerprints {
    fn default() -> Self {
        Self { table: Mutex::default(), last: watch::Sender::new(None), changed: Notify::new() }
    }
}

impl Fingerprints {
    /// This replica folded a window.
    pub(super) fn ours(&self, fingerprint: Fingerprint) {
        self.last.send_replace(Some(fingerprint));
        let mut table = self.table.lock();
        remember(&mut table.ours, fingerprint);
        self.compare(table);
    }

    /// The leader folded a window.
    pub(super) fn theirs(&self, fingerprint: Fingerprint) {
        let mut table = self.table.lock();
        remember(&mut table.theirs, fingerprint);
        self.compare(table);
    }

    fn compare(&self, mut table: parking_lot::MutexGuard<'_, FingerprintTable>) {
        let FingerprintTable { ours, theirs, differs_at, compared, .. } = &mut *table;
        let mut found = None;
        theirs.retain(|their| match ours.iter().find(|our| our.sequence == their.sequence) {
            None => true,
            Some(our) => {
                *compared += 1;
                if our.hash != their.hash {
                    found = Some(our.sequence);
                }
                false
            }
        });
        if let Some(sequence) = found
            && differs_at.is_none()
        {
            *differs_at = Some(sequence);
            self.changed.notify_waiters();
        }
    }

    /// Comparisons with the leader so far.
    pub(super) fn compared(&self) -> u64 {
        self.table.lock().compared
    }

    /// Sequence of the difference that is being examined. Until then this replica must not lead.
    pub(super) fn differs_at(&self) -> Option<u64> {
        self.table.lock().differs_at
    }

    /// The difference is explained: this replica's state is that of the journal again.
    pub(super) fn resolved(&self) {
        let mut table = self.table.lock();
        (table.differs_at, table.ours, table.theirs) = (None, VecDeque::new(), VecDeque::new());
    }

    /// This replica agrees with the journal, so the leader does not.
    pub(super) fn accuse(&self, sequence: u64) {
        self.table.lock().accusation = Some(sequence);
        self.changed.notify_waiters();
    }

    pub(super) fn take_accusation(&self) -> Option<u64> {
        self.table.lock().accusation.take()
    }

    /// Whether this leader accepts an accusation now.
    pub(super) fn accepts_accusation(&self) -> bool {
        let mut table = self.table.lock();
        let accepts = table.accepted.is_none_or(|at| at.elapsed() >= ACCUSATION_PAUSE);
        if accepts {
            table.accepted = Some(Instant::now());
        }
        accepts
    }
}

fn remember(ring: &mut VecDeque<Fingerprint>, fingerprint: Fingerprint) {
    if ring.len() == REMEMBERED {
        ring.pop_front();
    }
    ring.push_back(fingerprint);
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::event::Event;

    fn state(reference: &str, seconds: i64) -> State {
        let mut state = State::new();
        state.evolve(&Event::AccountCreated { account: 2, reference: reference.into() });
        state.evolve(&Event::Clock(seconds * WINDOW));
        state
    }

    #[test]
    fn a_window_covers_untouched_accounts_and_is_stable() {
        let hash = |state: &State| {
            let mut window = Window::default();
            assert_eq!(window.turn(state), None, "the first window began before the first event");
            window.turn(state).unwrap().hash
        };
        assert_eq!(hash(&state("ann", 7)), hash(&state("ann", 7)));
        assert_ne!(hash(&state("ann", 7)), hash(&state("eve", 7)), "an account that no event touches");
        assert_ne!(hash(&state("ann", 7)), hash(&state("ann", 8)));
        // Replicas of two releases compare this value: another one needs another FORM.
        assert_eq!((FORM, hash(&state("ann", 7))), (1, 0x946e_35cf));
    }

    #[test]
    fn effects_count_and_a_skipped_event_voids_the_window() {
        let state = state("ann", 1);
        let transfer =
            Transfer { asset: 1, amount: 5, debit: (0, exchange_core::Bucket::Free), credit: (2, exchange_core::Bucket::Free) };
        let mut windows = [Window::default(), Window::default()];
        windows.iter_mut().for_each(|window| assert_eq!(window.turn(&state), None));
        windows[0].transfer(&transfer);
        windows[1].transfer(&Transfer { amount: 6, ..transfer });
        let [one, other] = &mut windows;
        assert_ne!(one.turn(&state), other.turn(&state));
        one.skip();
        assert_eq!(one.turn(&state), None);
        assert!(one.turn(&state).is_some());
    }

    #[test]
    fn only_the_same_sequence_is_compared_and_a_difference_stays() {
        let fingerprints = Fingerprints::default();
        let at = |sequence, hash| Fingerprint { sequence, hash };
        fingerprints.theirs(at(5, 1));
        fingerprints.ours(at(4, 9));
        fingerprints.ours(at(5, 1));
        assert_eq!((fingerprints.compared(), fingerprints.differs_at()), (1, None));
        fingerprints.ours(at(6, 1));
        fingerprints.theirs(at(6, 2));
        fingerprints.ours(at(7, 1));
        fingerprints.theirs(at(7, 2));
        assert_eq!((fingerprints.compared(), fingerprints.differs_at()), (3, Some(6)));
        fingerprints.resolved();
        assert_eq!(fingerprints.differs_at(), None);
        assert!(fingerprints.accepts_accusation() && !fingerprints.accepts_accusation());
    }
}
