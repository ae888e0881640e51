//! This module decides which backups to retain. It is pure. The rules (hourly to yearly, count, age, floor) are independent, and
//! a backup is retained if any rule matches.
//!
//! Regardless of the rules:
//! - The newest verified backup must not be removed.
//! - At least the floor of backups must remain.
//! - Nothing may be removed while the newest attempt has not committed: a failure must not cost a good backup.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{config::RetentionSettings, layout::BackupId};

/// The properties of a backup that retention needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetainedBackup {
    pub id: BackupId,
    /// Number of the attempt. It defines which backup is newer, instead of a clock.
    pub sequence: u64,
    /// Time of its snapshot.
    pub at: Timestamp,
    pub verified: bool,
    /// End of the store's lock against deletion.
    pub locked_until: Option<Timestamp>,
    /// Whether it contains every expected database.
    pub complete: bool,
}

/// Reason for retaining a backup. The names are labels of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Last,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
    Age,
    Floor,
    NewestVerified,
    Locked,
}

impl Reason {
    pub const ALL: [Self; 10] = [
        Self::Last,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Yearly,
        Self::Age,
        Self::Floor,
        Self::NewestVerified,
        Self::Locked,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Age => "age",
            Self::Floor => "floor",
            Self::NewestVerified => "newest_verified",
            Self::Locked => "locked",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: BackupId,
    pub reasons: BTreeSet<Reason>,
}

/// The backups to retain and to remove, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    pub keep: Vec<Kept>,
    pub remove: Vec<BackupId>,
}

/// Reason why nothing may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetentionRefusal {
    #[error("the newest attempt has not committed; nothing is removed until a backup succeeds")]
    NewestFailed,
    #[error("a backup has a time in the future: this machine's clock or that of the agent is wrong; correct it first")]
    Clock,
}

impl RetentionRefusal {
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewestFailed => "newest_failed",
            Self::Clock => "clock",
        }
    }
}

/// Maximum difference between two correct clocks.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Plans the removals. `newest_committed`: whether the newest attempt committed.
///
/// # Errors
/// Returns an error if nothing may be removed.
pub fn plan(
    rules: &RetentionSettings,
    entries: &[RetainedBackup],
    newest_committed: bool,
    now: Timestamp,
) -> Result<RetentionPlan, RetentionRefusal> {
    if !newest_committed {
        return Err(RetentionRefusal::NewestFailed);
    }
    if entries.iter().any(|entry| entry.at.duration_since(now) > CLOCK_SKEW) {
        return Err(RetentionRefusal::Clock);
    }
    let all = entries;
    let mut entries: Vec<&RetainedBackup> = entries.iter().collect();
    entries.sort_by(|a, b| (b.sequence, &b.id).cmp(&(a.sequence, &a.id))); // newest first
    let (complete, partial): (Vec<&RetainedBackup>, Vec<&RetainedBackup>) = entries.into_iter().partition(|entry| entry.complete);
    let newest_complete = complete.first().map(|entry| entry.sequence);
    let entries = complete;
    let mut reasons = vec![BTreeSet::new(); entries.len()];
    keep_newest(&mut reasons, rules.last, Reason::Last);
    keep_newest(&mut reasons, rules.floor, Reason::Floor);
    for (count, reason, period) in [
        (rules.hourly, Reason::Hourly, "%Y-%m-%dT%H"),
        (rules.daily, Reason::Daily, "%Y-%m-%d"),
        (rules.weekly, Reason::Weekly, "%G-W%V"),
        (rules.monthly, Reason::Monthly, "%Y-%m"),
        (rules.yearly, Reason::Yearly, "%Y"),
    ] {
        let mut periods = BTreeSet::new();
        for (entry, reasons) in entries.iter().zip(&mut reasons) {
            let period = entry.at.to_zoned_datetime(TimeZone::UTC).strftime(period).to_string();
            if periods.len() < count as usize && periods.insert(period) {
                reasons.insert(reason);
            }
        }
    }
    for (entry, reasons) in entries.iter().zip(&mut reasons) {
        if u128::try_from(now.duration_since(entry.at).as_millis()).unwrap_or(0) < rules.within.as_millis() {
            reasons.insert(Reason::Age);
        }
        if entry.locked_until.is_some_and(|until| until > now) {
            reasons.insert(Reason::Locked);
        }
    }
    if let Some(newest) = entries.iter().position(|entry| entry.verified) {
        reasons[newest].insert(Reason::NewestVerified);
    }
    let mut plan = RetentionPlan::default();
    // A partial backup does not replace a complete one, and is removed when a complete one is newer.
    for entry in partial.into_iter().rev() {
        let locked = entry.locked_until.is_some_and(|until| until > now);
        if newest_complete.is_some_and(|newest| newest > entry.sequence) && !locked {
            plan.remove.push(entry.id.clone());
        } else {
            let reason = if locked { Reason::Locked } else { Reason::Last };
            plan.keep.push(Kept { id: entry.id.clone(), reasons: BTreeSet::from([reason]) });
        }
    }
    for (entry, reasons) in entries.iter().zip(reasons).rev() {
        if reasons.is_empty() {
            plan.remove.push(entry.id.clone());
        } else {
            plan.keep.push(Kept { id: entry.id.clone(), reasons });
        }
    }
    if !plan.keep.is_empty() {
        let order: HashMap<&BackupId, u64> = all.iter().map(|entry| (&entry.id, entry.sequence)).collect();
        plan.keep.sort_by_key(|kept| (order.get(&kept.id).copied(), kept.id.clone()));
    }
    Ok(plan)
}

fn keep_newest(reasons: &mut [BTreeSet<Reason>], count: u32, reason: Reason) {
    reasons.iter_mut().take(count as usize).for_each(|reasons| {
        reasons.insert(reason);
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn entries() -> impl Strategy<Value = Vec<RetainedBackup>> {
        let entry = (0i64..80_000_000, any::<u32>(), any::<bool>(), prop::option::of(-1000i64..1000));
        prop::collection::vec(entry, 0..60).prop_map(|entries| {
            let entry = |(age, random, verified, locked): (i64, u32, bool, Option<i64>)| {
                let at = Timestamp::from_second(NOW - age).unwrap();
                let locked_until = locked.map(|until| Timestamp::from_second(NOW + until).unwrap());
                RetainedBackup { id: BackupId::new(at, random), sequence: 0, at, verified, locked_until, complete: true }
            };
            let mut entries: Vec<_> = entries.into_iter().map(entry).collect();
            entries.sort_by(|a, b| a.id.cmp(&b.id));
            entries.dedup_by(|a, b| a.id == b.id);
            // Most times follow the numbers; a few are as if a clock had been set back.
            (1..).zip(&mut entries).for_each(|(number, entry)| {
                entry.sequence = if entry.id.as_str().ends_with('7') { number + 3 } else { number };
            });
            entries
        })
    }

    fn rules() -> impl Strategy<Value = RetentionSettings> {
        let count = || 0u32..6;
        (count(), count(), count(), count(), count(), 0u64..10_000_000, 1u32..5).prop_map(
            |(last, hourly, daily, weekly, monthly, within, floor)| RetentionSettings {
                last,
                hourly,
                daily,
                weekly,
                monthly,
                yearly: 1,
                within: std::time::Duration::from_secs(within),
                floor,
                after_run: true,
            },
        )
    }

    proptest! {
        #[test]
        fn what_must_stay_stays(entries in entries(), rules in rules()) {
            let plan = plan(&rules, &entries, true, now()).unwrap();
            let kept: BTreeSet<_> = plan.keep.iter().map(|kept| kept.id.clone()).collect();
            prop_assert_eq!(kept.len() + plan.remove.len(), entries.len());
            prop_assert!(kept.len() >= entries.len().min(rules.floor as usize));
            let verified = entries.iter().filter(|entry| entry.verified).max_by_key(|entry| (entry.sequence, entry.id.clone()));
            prop_assert!(verified.is_none_or(|entry| kept.contains(&entry.id)));
            for entry in &entries {
                prop_assert!(entry.locked_until.is_none_or(|until| until <= now()) || kept.contains(&entry.id));
            }
        }

        #[test]
        fn a_second_pass_removes_nothing_more(entries in entries(), rules in rules()) {
            let first = plan(&rules, &entries, true, now()).unwrap();
            let left: Vec<_> = entries.into_iter().filter(|entry| !first.remove.contains(&entry.id)).collect();
            prop_assert_eq!(plan(&rules, &left, true, now()).unwrap().remove, vec![]);
        }

        #[test]
        fn nothing_is_removed_after_a_failure(entries in entries(), rules in rules()) {
            prop_assert_eq!(plan(&rules, &entries, false, now()), Err(RetentionRefusal::NewestFailed));
        }
    }

    #[test]
    fn a_partial_backup_does_not_replace_a_complete_one() {
        let entry = |sequence: u64, complete: bool| {
            let at = Timestamp::from_second(NOW - 1000 + sequence as i64).unwrap();
            RetainedBackup { id: BackupId::new(at, 1), sequence, at, verified: complete, locked_until: None, complete }
        };
        let rules = RetentionSettings {
            last: 1,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            within: std::time::Duration::ZERO,
            floor: 1,
            after_run: true,
        };
        let entries = [entry(1, true), entry(2, false), entry(3, true), entry(4, false)];
        let plan = plan(&rules, &entries, true, now()).unwrap();
        assert_eq!(plan.remove, [entries[1].id.clone(), entries[0].id.clone()]);
        let kept: BTreeSet<_> = plan.keep.iter().map(|kept| &kept.id).collect();
        assert_eq!(kept, BTreeSet::from([&entries[2].id, &entries[3].id]));
    }

    #[test]
    fn a_clock_set_back_removes_nothing() {
        let entry = |ahead: i64| {
            let at = Timestamp::from_second(NOW + ahead).unwrap();
            [RetainedBackup { id: BackupId::new(at, 1), sequence: 1, at, verified: false, locked_until: None, complete: true }]
        };
        assert_eq!(plan(&RetentionSettings::default(), &entry(1000), true, now()), Err(RetentionRefusal::Clock));
        assert!(plan(&RetentionSettings::default(), &entry(10), true, now()).is_ok(), "a small difference of clocks is accepted");
    }
}
