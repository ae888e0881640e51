//! Simulation of a leader, its journal and its replica, with faults drawn from a seed: crash, failed commit, unknown commit, slow
//! commit, a client that resends. The seed reproduces a failure.
//!
//! The simulated shell has the structure of the real one: decide a batch on the deciding state, commit it in one step, fold it
//! into the committed state, and only then answer. The checks cover the guarantees to customers: an answer is never undone, and
//! no command is executed twice.

use crate::support::{Exchange, Random, SECOND, check_invariants, filters, replay, some_commission};
use exchange_core::State;
use exchange_core::command::{Command, NewOrder, Outcome};
use exchange_core::event::Event;
use exchange_core::order::OrderId;
use std::collections::{BTreeMap, BTreeSet};

/// Outcome of a batch that was sent to the database.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Commit {
    Done,
    Failed,
    /// The connection broke before the answer: it is in the journal or not.
    Unknown {
        durable: bool,
    },
}

struct World {
    random: Random,
    /// Durable batches, which survive every fault.
    journal: Vec<Vec<Event>>,
    /// Folded from the journal only; reads and answers come from here.
    committed: State,
    deciding: State,
    now: i64,
    /// Answered placements, by client id.
    answered: BTreeMap<Vec<u8>, OrderId>,
    faults: BTreeSet<&'static str>,
}

impl World {
    fn new(seed: u64) -> Self {
        let exchange = Exchange::with(filters(), some_commission());
        Self {
            random: Random(seed),
            now: exchange.now,
            committed: exchange.state.clone(),
            deciding: exchange.state,
            journal: vec![exchange.journal],
            answered: BTreeMap::new(),
            faults: BTreeSet::new(),
        }
    }

    /// One batch: decided, committed with a random outcome, answered if permitted.
    fn batch(&mut self) {
        let mut events = Vec::new();
        let mut waiting: Vec<(Command, Outcome)> = Vec::new();
        let mut commands: Vec<Command> = (0..1 + self.random.below(6)).map(|_| self.command()).collect();
        if self.random.chance(10) {
            self.faults.insert("duplicate");
            commands.push(commands[0].clone());
        }
        for command in commands {
            for _ in 0..self.random.below(3) {
                if self.deciding.has_work(self.now) {
                    self.faults.insert("work between commands");
                }
                self.deciding.work(self.now, &mut events);
            }
            if let Ok(outcome) = self.deciding.decide(&command, self.now, &mut events) {
                waiting.push((command, outcome));
            }
        }
        if self.random.chance(10) {
            // Slow: time passes, and the next batch is decided on top of one that is not durable yet; this one drops it again.
            self.faults.insert("slow commit");
            self.now += SECOND;
            let mut ahead = self.deciding.clone();
            let command = self.command();
            let _ = ahead.decide(&command, self.now, &mut Vec::new());
        }
        let commit = match self.random.below(100) {
            0..80 => Commit::Done,
            80..90 => Commit::Failed,
            _ => Commit::Unknown { durable: self.random.chance(50) },
        };
        if commit == Commit::Done || commit == (Commit::Unknown { durable: true }) {
            self.journal.push(events);
        }
        match commit {
            Commit::Done => self.fold_and_answer(waiting),
            Commit::Failed => {
                self.faults.insert("failed commit");
                self.deciding = self.committed.clone();
            }
            Commit::Unknown { durable } => {
                self.faults.insert("unknown commit");
                // After the fence the journal states the outcome; the clients get it.
                if durable {
                    self.fold_and_answer(waiting);
                }
                self.deciding = self.committed.clone();
            }
        }
        if self.random.chance(5) {
            self.faults.insert("crash");
            if self.committed.has_work(self.now) {
                self.faults.insert("crash with queued work");
            }
            self.recover();
        }
    }

    fn command(&mut self) -> Command {
        let last = self.deciding.sequence();
        let command = self.random.command(last.min(600), 20);
        match command {
            // Ids that are never reused, so that an order can be recognised after a crash.
            Command::Place(new) => {
                let id = format!("s{:016x}", self.random.next());
                Command::Place(NewOrder { client_id: crate::support::client_id(&id), ..new })
            }
            other => other,
        }
    }

    fn fold_and_answer(&mut self, waiting: Vec<(Command, Outcome)>) {
        for event in self.journal.last().expect("just pushed") {
            self.committed.evolve(event);
        }
        for (command, outcome) in waiting {
            if let (Command::Place(new), Outcome::Placed(placed)) = (command, outcome) {
                let key = new.client_id.as_bytes().to_vec();
                // Resent while open, it was refused; resent after it ended, it is a new order, and the later one counts.
                self.answered.insert(key, placed.order.id);
            }
        }
    }

    /// Memory is lost; the journal, and sometimes a snapshot, remain.
    fn recover(&mut self) {
        let mut bytes = Vec::new();
        self.committed.encode(&mut bytes);
        let events: Vec<Event> = self.journal.concat();
        let recovered = if self.random.chance(50) { State::decode(&bytes).expect("a snapshot decodes") } else { replay(&events) };
        assert_eq!(recovered.hash(), self.committed.hash());
        self.deciding = recovered.clone();
        self.committed = recovered;
    }

    fn check(&self) {
        check_invariants(&self.committed);
        let mut placed: BTreeMap<OrderId, Vec<u8>> = BTreeMap::new();
        let mut trades = BTreeSet::new();
        for event in self.journal.iter().flatten() {
            if let Some(e) = event.placed() {
                let twice = placed.insert(e.order, e.client_id.as_bytes().to_vec());
                assert_eq!(twice, None, "order {} was placed twice", e.order);
            }
            if let Event::Trade(e) = event {
                assert!(trades.insert(e.trade), "trade {} happened twice", e.trade);
            }
        }
        for (client_id, order) in &self.answered {
            assert_eq!(placed.get(order), Some(client_id), "an acknowledged order is in the journal");
        }
        assert_eq!(replay(&self.journal.concat()).hash(), self.committed.hash(), "the journal folds to the served state");
    }
}

#[test]
fn answers_survive_every_fault() {
    let mut seen = BTreeSet::new();
    let mut answered = 0;
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.now += world.random.below(500_000) as i64;
            world.batch();
            // An event that is not durable is never served.
            let durable: usize = world.journal.iter().map(Vec::len).sum();
            assert_eq!(world.committed.sequence(), durable as u64, "seed {seed}");
        }
        world.check();
        answered += world.answered.len();
        seen.extend(world.faults);
    }
    assert_eq!(seen.len(), 7, "every fault happened: {seen:?}");
    assert!(answered > 5_000, "{answered} placements were answered");
}
