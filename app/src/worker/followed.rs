//! This module holds the worker's followed state, the history that led to it, and the last states for comparisons. It must not
//! read the journal.

use std::collections::VecDeque;

use exchange_core::{State, event::Event};

use crate::{
    chain::Chain,
    engine::committed::minute,
    snapshot,
    worker::{chunk::EventChunk, source::Events},
};

/// Compared states held: some minutes, until every server has reported its own.
const CHECKPOINTS: usize = 5;

/// The fold of the journal up to one sequence.
#[derive(Debug)]
pub struct Followed {
    pub state: State,
    /// History of the journal up to the state's sequence.
    pub chain: Chain,
    /// Oldest first.
    pub checkpoints: VecDeque<Checkpoint>,
}

/// The state at the turn of a minute of journal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    pub sequence: i64,
    /// SHA-256 of the state.
    pub state: [u8; 32],
    pub chain: Chain,
}

impl Followed {
    pub const fn new(state: State, chain: Chain) -> Self {
        Self { state, chain, checkpoints: VecDeque::new() }
    }

    /// Applies a batch.
    pub fn apply(&mut self, batch: &Events) {
        batch.events.iter().for_each(|event| self.state.evolve(event));
        self.chain = batch.link(self.chain);
    }

    /// Applies a batch and gathers its effects. True: a minute of journal time turned, and the chunk ends here.
    pub fn fold(&mut self, batch: &Events, chunk: &mut EventChunk) -> bool {
        let before = minute(self.state.now());
        let mut apply = |event: &Event| chunk.fold(&mut self.state, event);
        batch.events.iter().for_each(&mut apply);
        self.chain = batch.link(self.chain);
        minute(self.state.now()) != before
    }

    /// Hashes the state, for the comparison with the servers' states.
    pub fn set_apart(&mut self) {
        let checkpoint =
            Checkpoint { sequence: self.state.sequence() as i64, state: snapshot::state_hash(&self.state), chain: self.chain };
        self.checkpoints.push_back(checkpoint);
        while self.checkpoints.len() > CHECKPOINTS {
            self.checkpoints.pop_front();
        }
    }
}
