//! This module chooses the objects of the bucket that together are the journal of the newest history. It must not read an object.
//!
//! - The newest history is the one with the highest generation. What earlier generations wrote counts up to the fork at which a
//!   later one began.
//! - Objects may overlap. Of several that continue the journal, the one that reaches furthest is chosen.

use anyhow::{bail, ensure};

use crate::{
    chain::Chain,
    journal_archive,
    shipped::{self, Fork},
};

/// The listing of a bucket.
#[derive(Debug, Clone, Default)]
pub struct BucketListing {
    pub archives: Vec<String>,
    pub shipped: Vec<shipped::ShippedName>,
    pub forks: Vec<Fork>,
}

/// One object that contains a part of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub key: String,
    pub first: i64,
    /// The last sequence that belongs to the history; the object may contain more.
    pub last: i64,
    /// `None`: an archive object.
    pub shipped: Option<shipped::ShippedName>,
    /// The chain at `last`; `None`: the object contains more, or an earlier release named it without a chain.
    pub chain: Option<Chain>,
    /// Written after a fork or before it: only its content shows to which history it belongs.
    pub uncertain: bool,
}

/// The journal in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryPlan {
    pub generation: i64,
    /// From the first event on, each at most one sequence behind the end of the last.
    pub segments: Vec<Segment>,
    /// The last sequence of any object, of any history.
    pub known: i64,
}

impl RecoveryPlan {
    /// # Errors
    ///
    /// Returns an error that names the missing sequences if the journal has a gap before `until`, and if the bucket has no journal.
    pub fn new(bucket: &BucketListing, until: Option<i64>) -> anyhow::Result<Self> {
        let BucketListing { archives, shipped, forks } = bucket;
        let generations = shipped.iter().map(|name| name.generation).chain(forks.iter().map(|fork| fork.generation));
        let generation = generations.max().unwrap_or(0);
        let limit =
            |of: i64| forks.iter().filter(|fork| fork.generation > of).map(|fork| fork.sequence).min().unwrap_or(i64::MAX);
        let first_fork = limit(-1);
        let mut segments: Vec<Segment> = Vec::new();
        for name in shipped {
            let last = name.last_sequence.min(limit(name.generation));
            if last < name.first_sequence {
                // All of it was lost.
                continue;
            }
            segments.push(Segment {
                key: name.key(),
                first: name.first_sequence,
                last,
                shipped: Some(*name),
                chain: (last == name.last_sequence).then_some(name.chain),
                uncertain: false,
            });
        }
        for key in archives {
            let Some((first, last, chain)) = journal_archive::parse(key) else { continue };
            segments.push(Segment { key: key.clone(), first, last, shipped: None, chain, uncertain: last > first_fork });
        }
        let known = shipped.iter().map(|name| name.last_sequence).chain(segments.iter().map(|segment| segment.last)).max();
        let Some(known) = known else {
            bail!(
                "the bucket contains no journal (no object under journal/ or shipped/): set EXCHANGE_S3_BUCKET to the bucket of the \
                 exchange"
            );
        };
        let path = path(&mut segments);
        let end = path.last().map_or(0, |segment| segment.last);
        let beyond =
            segments.iter().filter(|segment| !segment.uncertain && segment.first > end + 1).map(|segment| segment.first).min();
        if let Some(beyond) = beyond.filter(|_| until.is_none_or(|until| until > end)) {
            let remedy = if end > 0 { format!(", or recover with --until {end}") } else { String::new() };
            bail!(
                "the bucket lacks the journal's sequences {}..={}, but contains later ones: restore the missing objects from a copy \
                 of the bucket{remedy}",
                end + 1,
                beyond - 1
            );
        }
        ensure!(end > 0, "the bucket lacks the journal's first events: restore the missing objects from a copy of the bucket");
        Ok(Self { generation, segments: path, known })
    }

    /// The last sequence of the journal.
    pub fn end(&self) -> i64 {
        self.segments.last().map_or(0, |segment| segment.last)
    }

    /// Index of the segment that contains `sequence`.
    pub fn covering(&self, sequence: i64) -> Option<usize> {
        self.segments.iter().position(|segment| segment.first <= sequence && sequence <= segment.last)
    }

    /// The chain before the first batch of segment `index`, if a name states it.
    pub fn chain_before(&self, index: usize) -> Option<Chain> {
        let segment = self.segments.get(index)?;
        if segment.first == 1 {
            return Some(Chain::GENESIS);
        }
        let before = self.segments.get(index.checked_sub(1)?)?;
        if before.last == segment.first - 1 { before.chain } else { None }
    }
}

/// Extends the journal by the segment that reaches furthest, from the first event until no segment continues it.
fn path(segments: &mut [Segment]) -> Vec<Segment> {
    segments.sort_by_key(|segment| (segment.first, segment.uncertain, std::cmp::Reverse(segment.last)));
    let (mut end, mut at, mut chosen) = (0, 0, Vec::new());
    loop {
        let mut best: Option<&Segment> = None;
        while let Some(segment) = segments.get(at).filter(|segment| segment.first <= end + 1) {
            let rank = |segment: &Segment| (!segment.uncertain, segment.last);
            if segment.last > end && best.is_none_or(|best| rank(best) < rank(segment)) {
                best = Some(segment);
            }
            at += 1;
        }
        let Some(best) = best.or_else(|| segments[..at].iter().filter(|segment| segment.last > end).max_by_key(|s| s.last))
        else {
            return chosen;
        };
        end = best.last;
        chosen.push(best.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(number: u8) -> Chain {
        Chain::GENESIS.next(number.into(), 1, 1, b"")
    }

    fn name(generation: i64, first_sequence: i64, last_sequence: i64) -> shipped::ShippedName {
        shipped::ShippedName { generation, first_sequence, last_sequence, chain: chain(last_sequence as u8) }
    }

    fn parts(plan: &RecoveryPlan) -> Vec<(i64, i64)> {
        plan.segments.iter().map(|segment| (segment.first, segment.last)).collect()
    }

    #[test]
    fn archives_and_shipped_objects_form_one_journal() {
        let archives =
            vec![journal_archive::archive_key(1, 50, Some(chain(50))), journal_archive::archive_key(51, 90, Some(chain(90)))];
        // The second overlaps the first, the third lies inside it.
        let shipped = vec![name(0, 85, 100), name(0, 95, 120), name(0, 101, 110)];
        let plan = RecoveryPlan::new(&BucketListing { archives, shipped, forks: Vec::new() }, None).unwrap();
        assert_eq!(parts(&plan), [(1, 50), (51, 90), (85, 100), (95, 120)]);
        assert_eq!((plan.end(), plan.known, plan.covering(90)), (120, 120, Some(1)));
        assert_eq!((plan.chain_before(0), plan.chain_before(1)), (Some(Chain::GENESIS), Some(chain(50))));
        assert_eq!(plan.chain_before(2), None, "an overlap hides the boundary");
    }

    #[test]
    fn a_later_generation_replaces_what_follows_its_fork() {
        let fork = |generation, sequence| Fork { generation, sequence, chain: chain(1) };
        let shipped = vec![name(0, 1, 10), name(0, 11, 40), name(1, 21, 25), name(1, 26, 30), name(2, 29, 29)];
        let bucket = BucketListing { archives: Vec::new(), shipped, forks: vec![fork(1, 20), fork(2, 28)] };
        let plan = RecoveryPlan::new(&bucket, None).unwrap();
        assert_eq!(parts(&plan), [(1, 10), (11, 20), (21, 25), (26, 28), (29, 29)]);
        assert_eq!((plan.generation, plan.known), (2, 40));
        assert_eq!(plan.segments[1].chain, None, "the object ends elsewhere than its part of the history");
        // A fork whose generation has shipped nothing yet.
        let bucket = BucketListing { forks: vec![fork(1, 20), fork(2, 28), fork(3, 15)], ..bucket };
        assert_eq!(RecoveryPlan::new(&bucket, None).unwrap().end(), 15);
    }

    #[test]
    fn a_gap_is_an_error_that_names_it_unless_it_is_above_the_target() {
        let bucket = BucketListing { shipped: vec![name(0, 1, 10), name(0, 15, 20)], ..BucketListing::default() };
        let error = RecoveryPlan::new(&bucket, None).unwrap_err().to_string();
        assert!(error.contains("11..=14") && error.contains("--until 10"), "{error}");
        assert!(RecoveryPlan::new(&bucket, Some(12)).is_err());
        assert_eq!(RecoveryPlan::new(&bucket, Some(10)).unwrap().end(), 10);
        let error = RecoveryPlan::new(&BucketListing { shipped: vec![name(0, 15, 20)], ..BucketListing::default() }, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("1..=14"), "{error}");
        assert!(RecoveryPlan::new(&BucketListing::default(), None).unwrap_err().to_string().contains("EXCHANGE_S3_BUCKET"));
    }
}
