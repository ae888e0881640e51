//! This module computes retention by disk: the number of oldest indices to delete so that a stream stays within its share.
//! Pure.

use crate::{desired::DiskBudget, observe::IndexFacts};

/// The result of a budget for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetVerdict {
    /// Bytes that the stream may take.
    pub allowed: u64,
    /// Bytes that it takes, including all copies.
    pub used: u64,
    /// Indices to delete, oldest first.
    pub delete: Vec<String>,
    /// Bytes above the share after the deletions: no remaining index is older than the floor.
    pub excess: u64,
}

/// `indices` are oldest first. `disk_bytes` is the total of all data disks. The write index stays, and so does an index
/// younger than the floor, counted from its rollover.
pub fn verdict<'a>(
    budget: &DiskBudget,
    disk_bytes: u64,
    indices: impl IntoIterator<Item = &'a IndexFacts>,
    now_millis: i64,
) -> BudgetVerdict {
    let indices: Vec<&IndexFacts> = indices.into_iter().collect();
    // The bytes of disks are far below 2^53, so a float is exact.
    let allowed = (disk_bytes as f64 * budget.disk_percent / 100.0) as u64;
    let used: u64 = indices.iter().map(|index| index.bytes).sum();
    let (mut left, mut delete) = (used, Vec::new());
    for index in indices {
        let rolled =
            index.lifecycle.as_ref().map(|at| at.since_millis).filter(|since| *since > 0).unwrap_or(index.created_millis);
        // Indices are in the order of their ages: nothing is deleted after the first index that stays.
        if left <= allowed || index.write || now_millis - rolled < budget.floor_millis {
            break;
        }
        left -= index.bytes;
        delete.push(index.name.clone());
    }
    BudgetVerdict { allowed, used, delete, excess: left.saturating_sub(allowed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 100 * DAY;

    fn indices(sizes: &[u64]) -> Vec<IndexFacts> {
        let index = |(place, bytes): (usize, &u64)| IndexFacts {
            name: format!("i{place}"),
            write: place + 1 == sizes.len(),
            created_millis: NOW - (sizes.len() - place) as i64 * DAY,
            bytes: *bytes,
            ..IndexFacts::default()
        };
        sizes.iter().enumerate().map(index).collect()
    }

    #[test]
    fn the_oldest_are_deleted_until_the_share_is_met() {
        let budget = DiskBudget { disk_percent: 50.0, floor_millis: 0 };
        let verdict = verdict(&budget, 100, &indices(&[30, 30, 30]), NOW);
        assert_eq!((verdict.delete, verdict.excess, verdict.allowed), (vec!["i0".to_owned(), "i1".to_owned()], 0, 50));
    }

    #[test]
    fn the_floor_and_the_write_index_stay_on_a_full_disk() {
        let budget = DiskBudget { disk_percent: 1.0, floor_millis: 2 * DAY };
        let kept = verdict(&budget, 100, &indices(&[30, 30, 30]), NOW);
        assert_eq!((kept.delete, kept.excess), (vec!["i0".to_owned(), "i1".to_owned()], 29));
        let floor = DiskBudget { floor_millis: 10 * DAY, ..budget };
        assert_eq!(verdict(&floor, 100, &indices(&[30, 30, 30]), NOW).delete, Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn deletes_no_write_index_no_young_index_and_no_more_than_due(
            sizes in proptest::collection::vec(0u64..1000, 1..20), percent in 1.0..95.0f64, floor in 0i64..20, disk in 1u64..10_000,
        ) {
            let budget = DiskBudget { disk_percent: percent, floor_millis: floor * DAY };
            let indices = indices(&sizes);
            let verdict = verdict(&budget, disk, &indices, NOW);
            let gone: Vec<_> = indices.iter().filter(|index| verdict.delete.contains(&index.name)).collect();
            prop_assert!(gone.iter().all(|index| !index.write && NOW - index.created_millis >= budget.floor_millis));
            prop_assert!(indices.iter().zip(&verdict.delete).all(|(index, name)| index.name == *name), "oldest first");
            let left = verdict.used - gone.iter().map(|index| index.bytes).sum::<u64>();
            prop_assert_eq!(verdict.excess, left.saturating_sub(verdict.allowed));
            if let Some(last) = gone.last() {
                prop_assert!(left + last.bytes > verdict.allowed, "the last deletion was needed");
            }
        }
    }
}
