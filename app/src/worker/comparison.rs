//! This module compares the servers' states with the worker's fold of the journal, at the same sequence. It must not change
//! anything.

use std::collections::VecDeque;

use super::followed::Checkpoint;
use crate::db::replicas::ReportedServer;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Servers whose state is at a sequence that this worker has too.
    pub compared: usize,
    /// Servers with another state or history, with the sequence.
    pub differing: Vec<(String, i64)>,
}

/// A server that is early or late is compared at its next report.
pub fn compare_servers(checkpoints: &VecDeque<Checkpoint>, servers: &[ReportedServer]) -> Comparison {
    let mut found = Comparison::default();
    for server in servers {
        let Some(ours) = checkpoints.iter().find(|ours| Some(ours.sequence) == server.compared_seq) else { continue };
        found.compared += 1;
        let state = server.compared_state.as_deref() == Some(ours.state.as_slice());
        // A server that started from a snapshot of the first format has no chain.
        let chain = server.compared_chain.as_ref().is_none_or(|chain| *chain == ours.chain.bytes());
        if !state || !chain {
            found.differing.push((server.address.clone(), ours.sequence));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;

    #[test]
    fn another_state_or_history_at_the_same_sequence_is_found() {
        let ours = Checkpoint { sequence: 7, state: [1; 32], chain: Chain::GENESIS.next(1, 7, 1, b"a") };
        let server = |address: &str, sequence, state: u8, chain: Option<Chain>| ReportedServer {
            address: address.into(),
            clock_offset: 0,
            refusal: None,
            lost_through: None,
            lost_generation: None,
            compared_seq: Some(sequence),
            compared_state: Some(vec![state; 32]),
            compared_chain: chain.map(|chain| chain.bytes().to_vec()),
        };
        let servers = [
            server("same", 7, 1, Some(ours.chain)),
            server("of unknown history", 7, 1, None),
            server("other state", 7, 2, Some(ours.chain)),
            server("other history", 7, 1, Some(Chain::GENESIS)),
            server("elsewhere", 8, 9, None),
        ];
        let found = compare_servers(&VecDeque::from([ours]), &servers);
        assert_eq!(found.compared, 4);
        assert_eq!(found.differing, [("other state".to_owned(), 7), ("other history".to_owned(), 7)]);
    }
}
