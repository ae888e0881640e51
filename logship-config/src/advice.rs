//! This module computes sizing advice. Pure.
//!
//! Source: "Size your shards": 10 to 50 GB and at most 200 million documents a shard, at most 1000 shards a node
//! (`cluster.max_shards_per_node`).

use crate::{
    observe::{ClusterObservation, IndexFacts},
    units,
};

const SMALL_SHARD_BYTES: u64 = 1 << 30;
const LARGE_SHARD_BYTES: u64 = 50 << 30;
const MOST_DOCUMENTS: u64 = 200_000_000;
const MOST_SHARDS_PER_NODE: u64 = 1000;
/// Fewer rolled indices than this are not a pattern.
const ENOUGH_INDICES: usize = 4;

/// A kind of advice. A label of metrics, so the names are an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdviceTopic {
    SmallShards,
    LargeShards,
    ManyDocuments,
    ManyShards,
}

impl AdviceTopic {
    pub const ALL: [Self; 4] = [Self::SmallShards, Self::LargeShards, Self::ManyDocuments, Self::ManyShards];

    pub const fn name(self) -> &'static str {
        match self {
            Self::SmallShards => "small_shards",
            Self::LargeShards => "large_shards",
            Self::ManyDocuments => "many_documents",
            Self::ManyShards => "many_shards",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    pub topic: AdviceTopic,
    /// The finding and the remedy.
    pub told: String,
}

/// Returns all advice.
pub fn advise(observation: &ClusterObservation) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut streams: Vec<&str> = observation.indices.iter().map(|index| index.stream.as_str()).collect();
    streams.dedup();
    for stream in streams {
        advice.extend(of_stream(stream, &observation.of(stream).collect::<Vec<_>>()));
    }
    for disk in observation.disks.iter().filter(|disk| disk.shards > MOST_SHARDS_PER_NODE * 9 / 10) {
        let told = format!(
            "{} holds {} shards; the limit is {MOST_SHARDS_PER_NODE}: roll indices over later, retain them for a shorter \
             time, or add a node",
            disk.node, disk.shards
        );
        advice.push(Advice { topic: AdviceTopic::ManyShards, told });
    }
    advice
}

fn of_stream(stream: &str, indices: &[&IndexFacts]) -> Vec<Advice> {
    let mut advice = Vec::new();
    let shard = |index: &IndexFacts| index.primary_bytes / index.primary_shards;
    if let Some(index) = indices.iter().max_by_key(|index| shard(index)).filter(|index| shard(index) > LARGE_SHARD_BYTES) {
        let size = units::rough_size(shard(index));
        let told = format!(
            "{stream}: a shard of {} has {size}, above 50 GB: set max_primary_shard_size: 50gb in its rollover, or use more \
             shards",
            index.name
        );
        advice.push(Advice { topic: AdviceTopic::LargeShards, told });
    }
    if let Some(index) = indices.iter().find(|index| index.documents / index.primary_shards > MOST_DOCUMENTS) {
        let told = format!(
            "{stream}: a shard of {} has more than 200 million documents: set max_primary_shard_docs: 200000000 in its rollover",
            index.name
        );
        advice.push(Advice { topic: AdviceTopic::ManyDocuments, told });
    }
    let rolled: Vec<_> = indices.iter().filter(|index| !index.write).collect();
    let average = rolled.iter().map(|index| shard(index)).sum::<u64>() / rolled.len().max(1) as u64;
    if rolled.len() >= ENOUGH_INDICES && average < SMALL_SHARD_BYTES {
        let size = units::rough_size(average);
        let told = format!(
            "{stream}: its {} rolled shards have {size} each, below 1 GB: roll over later (a larger max_age)",
            rolled.len()
        );
        advice.push(Advice { topic: AdviceTopic::SmallShards, told });
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::DiskFacts;

    #[test]
    fn each_topic_and_silence() {
        let index = |bytes: u64, documents: u64, write: bool| IndexFacts {
            name: "i".into(),
            stream: "s".into(),
            write,
            primary_bytes: bytes,
            documents,
            primary_shards: 2,
            ..IndexFacts::default()
        };
        let topics = |indices: Vec<IndexFacts>, shards: u64| {
            let disks = vec![DiskFacts { shards, ..DiskFacts::default() }];
            advise(&ClusterObservation { indices, disks, lifecycle_running: true })
                .into_iter()
                .map(|advice| advice.topic)
                .collect::<Vec<_>>()
        };
        assert_eq!(topics(vec![index(40 << 30, 5, false); 5], 10), []);
        assert_eq!(
            topics(vec![index(120 << 30, 500_000_000, true)], 950),
            [AdviceTopic::LargeShards, AdviceTopic::ManyDocuments, AdviceTopic::ManyShards]
        );
        assert_eq!(topics(vec![index(1 << 20, 5, false); 4], 10), [AdviceTopic::SmallShards]);
        assert_eq!(topics(vec![index(1 << 20, 5, false); 3], 10), []);
    }
}
