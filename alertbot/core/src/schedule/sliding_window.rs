//! This module is a budget over a sliding window: a maximum number of calls in any span of that length.

use std::{collections::VecDeque, time::Duration};

use super::limits::WINDOW_MARGIN;
use crate::moment::Moment;

/// Calls count from their end, because a call arrives between its beginning and its end. A call in flight counts until it has
/// ended.
#[derive(Debug, Clone)]
pub struct SlidingWindow {
    budget: usize,
    within: Duration,
    under_way: usize,
    ended: VecDeque<Moment>,
}

impl SlidingWindow {
    pub fn new(budget: usize, within: Duration) -> Self {
        Self { budget, within: within + WINDOW_MARGIN, under_way: 0, ended: VecDeque::new() }
    }

    /// Ends of calls made before this window was created.
    pub fn restore(&mut self, ended: impl IntoIterator<Item = Moment>) {
        self.ended.extend(ended);
        self.ended.make_contiguous().sort_unstable();
    }

    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Calls that may start now.
    pub fn free(&mut self, now: Moment) -> usize {
        self.forget(now);
        self.budget.saturating_sub(self.under_way + self.ended.len())
    }

    /// No call is in flight, and earlier calls no longer count.
    pub fn is_unused(&mut self, now: Moment) -> bool {
        self.forget(now);
        self.under_way == 0 && self.ended.is_empty()
    }

    /// When one more call may start while `kept` calls stay available; `None` if that depends on a call in flight.
    pub fn free_at(&mut self, now: Moment, kept: usize) -> Option<Moment> {
        self.forget(now);
        let usable = self.budget.saturating_sub(kept).max(1);
        let used = self.under_way + self.ended.len();
        if used < usable {
            return Some(now);
        }
        self.ended.get(used - usable).map(|ended| *ended + self.within)
    }

    pub fn begin(&mut self) {
        self.under_way += 1;
    }

    pub fn end(&mut self, now: Moment) {
        self.under_way = self.under_way.saturating_sub(1);
        self.ended.push_back(now);
    }

    /// The started call was not made.
    pub fn cancel(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn forget(&mut self, now: Moment) {
        while self.ended.front().is_some_and(|ended| *ended + self.within <= now) {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_budget_in_any_span_and_a_part_is_kept() {
        let second = Duration::from_secs;
        let mut window = SlidingWindow::new(3, second(60));
        for at in [0, 10, 20] {
            assert_eq!(window.free_at(second(at), 0), Some(second(at)));
            window.begin();
            window.end(second(at));
        }
        assert_eq!(window.free(second(20)), 0);
        assert_eq!(window.free_at(second(20), 0), Some(second(60) + WINDOW_MARGIN));
        assert_eq!(window.free_at(second(20), 1), Some(second(70) + WINDOW_MARGIN));
        window.begin();
        assert_eq!(window.free_at(second(61), 2), None, "the call under way has to end first");
        let mut busy = SlidingWindow::new(1, second(1));
        busy.begin();
        assert_eq!(busy.free_at(second(5), 0), None);
    }
}
