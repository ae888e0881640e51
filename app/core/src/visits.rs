//! This module counts the orders, levels and waiting orders that the core visits, for tests of its cost. It must not influence a
//! decision.
//!
//! - Only builds with debug assertions count: a release build pays nothing.
//! - The count is by thread. A test compares the visits of one command at two sizes, which does not depend on the machine's speed.
//! - A loop over orders must use `Orders`, `Book::levels` or `WaitingOrders`, which count each element.

#[cfg(debug_assertions)]
thread_local! {
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one element.
#[inline(always)]
pub(crate) fn visit() {
    #[cfg(debug_assertions)]
    VISITS.with(|visits| visits.set(visits.get() + 1));
}

/// Elements that this thread has visited. `None`: the build does not count.
pub fn visited() -> Option<u64> {
    #[cfg(debug_assertions)]
    return Some(VISITS.with(std::cell::Cell::get));
    #[cfg(not(debug_assertions))]
    None
}
