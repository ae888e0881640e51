//! This module generates the commands of the core's benchmark: 60 % new limits near the mid, 30 % cancels, 10 % marketable. It
//! must not be timed.
//!
//! The generator applies them to a separate state, so that a cancel always names an open order and no command is refused.

use crate::foundation::FIRST_ACCOUNT;
use crate::random::Random;
use crate::workload::{ACCOUNTS, MARKETS};
use anyhow::{Context, Result, bail};
use exchange_core::State;
use exchange_core::command::{CancelOrder, Command, NewOrder, Outcome};
use exchange_core::event::Event;
use exchange_core::money::{Price, Quantity, SCALE, Time};
use exchange_core::order::{AccountId, ClientId, MarketId, OrderId, OrderType, Side, StpMode, TimeInForce};

/// Journal time at the start, µs; the value is arbitrary.
pub const START: Time = 1_700_000_000_000_000;
/// Largest distance of a new limit order from the mid, in ticks.
const NEAR: i64 = 50;
const CENT: Price = SCALE / 100;
const LOT: Quantity = SCALE / 100_000;

/// A client order id in ccxt's form: a broker's prefix and 22 hexadecimal digits.
fn client_id(random: &mut Random) -> Result<ClientId> {
    let (high, low) = (random.next(), random.next());
    ClientId::new(&format!("x-TKT5PX2F{high:016x}{:06x}", low & 0xff_ffff)).context("a client order id of the benchmark")
}

/// Creates commands and holds the state after them.
pub struct CommandStream {
    state: State,
    random: Random,
    mids: [Price; MARKETS.len()],
    /// Orders that were placed on the book; some have been filled since.
    open: Vec<(OrderId, AccountId, MarketId)>,
    events: Vec<Event>,
}

impl CommandStream {
    pub fn new(state: State, seed: u64) -> Self {
        let mids = MARKETS.map(|(_, price)| price * SCALE);
        Self { state, random: Random::new(seed), mids, open: Vec::new(), events: Vec::new() }
    }

    /// The state after the commands returned so far.
    pub const fn state(&self) -> &State {
        &self.state
    }

    fn order(&mut self, side: Side, market: MarketId, price: Price, lots: i64) -> Result<Command> {
        Ok(Command::Place(NewOrder {
            account: FIRST_ACCOUNT + self.random.below(ACCOUNTS.into()) as AccountId,
            market,
            side,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            price,
            stop_price: 0,
            quantity: lots * LOT,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: client_id(&mut self.random)?,
        }))
    }

    fn pick(&mut self) -> (MarketId, Side) {
        let market = self.random.below(MARKETS.len() as u64) as MarketId;
        (market, if self.random.chance(50) { Side::Buy } else { Side::Sell })
    }

    /// A limit order at most `ticks` from the mid, on its own side.
    pub fn resting(&mut self, ticks: i64) -> Result<Command> {
        let (market, side) = self.pick();
        let distance = self.random.between(1, ticks) * CENT;
        let mid = self.mids[usize::from(market)];
        let price = if side == Side::Buy { mid - distance } else { mid + distance };
        let lots = self.random.between(1_000, 10_000);
        self.order(side, market, price, lots)
    }

    /// A limit order through the other side that takes about three resting orders.
    fn marketable(&mut self) -> Result<Command> {
        let (market, side) = self.pick();
        let reach = 4 * NEAR * CENT;
        let mid = self.mids[usize::from(market)];
        let price = if side == Side::Buy { mid + reach } else { mid - reach };
        let lots = self.random.between(3_000, 30_000);
        self.order(side, market, price, lots)
    }

    fn cancel(&mut self) -> Option<Command> {
        while !self.open.is_empty() {
            let index = self.random.below(self.open.len() as u64) as usize;
            let (order, account, market) = self.open.swap_remove(index);
            if self.state.order(order).is_some() {
                let (order, client_id, restriction) = (Some(order), None, None);
                return Some(Command::Cancel(CancelOrder { account, market, order, client_id, restriction }));
            }
        }
        None
    }

    /// Events of the last command.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The next command of the mix.
    pub fn draw(&mut self) -> Result<Command> {
        let command = match self.random.below(100) {
            0..60 => self.resting(NEAR)?,
            60..90 => match self.cancel() {
                Some(command) => command,
                None => self.resting(NEAR)?,
            },
            _ => self.marketable()?,
        };
        self.apply(&command)?;
        Ok(command)
    }

    /// As [`Self::apply`], without storing the order for a cancel.
    pub fn place_unlisted(&mut self, command: &Command) -> Result<()> {
        self.events.clear();
        self.state.decide(command, START, &mut self.events).context("placing a resting order")?;
        Ok(())
    }

    /// Applies a command to the stream's state.
    pub fn apply(&mut self, command: &Command) -> Result<()> {
        self.events.clear();
        match self.state.decide(command, START, &mut self.events) {
            Ok(Outcome::Placed(placed)) => {
                let order = &placed.order;
                if order.status.is_open() {
                    self.open.push((order.id, order.account, order.market));
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(refusal) => bail!("the benchmark's {} was refused: {refusal}", command.name()),
        }
    }
}
