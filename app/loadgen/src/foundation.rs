//! This module creates the exchange before the first order: assets, markets, accounts and funds of the workload, by operator
//! commands. It must not create an order or bypass the core.

use crate::workload::{ACCOUNTS, FUNDS, MARKETS, QUOTE};
use anyhow::{Context, Result};
use exchange_core::State;
use exchange_core::command::{AdminAction, Command, Operator, Outcome};
use exchange_core::event::Event;
use exchange_core::market::{Commission, Filters};
use exchange_core::money::{Amount, SCALE, Time};
use exchange_core::order::AccountId;

/// Customers follow the two house accounts: the workload's account n is this plus n.
pub const FIRST_ACCOUNT: AccountId = 2;
/// Ten basis points, maker and taker.
const COMMISSION: Commission = Commission { maker: 100_000, taker: 100_000 };

/// A state at `time` with everything except orders; its events are appended to `events`. `max_orders` is each account's
/// MAX_NUM_ORDERS on each market.
///
/// # Errors
///
/// Returns an error if the core refuses a command.
pub fn lay(max_orders: u32, time: Time, events: &mut Vec<Event>) -> Result<State> {
    let mut state = State::new();
    let mut act = |action: AdminAction| -> Result<Outcome> {
        let operator = Operator { actor: "loadgen".into(), reason: "set up".into() };
        state.decide(&Command::Admin { operator, action }, time, events).context("creating the foundation")
    };
    for code in MARKETS.iter().map(|(code, _)| *code).chain([QUOTE]) {
        act(AdminAction::CreateAsset { code: code.into() })?;
    }
    let filters = Filters { max_orders, max_algo_orders: max_orders, ..Filters::default() };
    let quote = MARKETS.len() as u16;
    for (base, (code, _)) in MARKETS.iter().enumerate() {
        let (symbol, base, filters) = (format!("{code}{QUOTE}").into(), base as u16, filters.clone());
        act(AdminAction::CreateMarket { symbol, base, quote, filters, commission: COMMISSION })?;
    }
    for number in 0..ACCOUNTS {
        act(AdminAction::CreateAccount { reference: format!("load-{number}").into() })?;
        for asset in 0..=quote {
            let (account, amount) = (FIRST_ACCOUNT + number, Amount::from(FUNDS) * Amount::from(SCALE));
            act(AdminAction::Credit { account, asset, amount, reference: format!("load-{number}-{asset}").into() })?;
        }
    }
    Ok(state)
}

/// Creates `number` accounts without funds after those of the workload.
///
/// # Errors
///
/// Returns an error if the core refuses a command.
pub fn add_accounts(state: &mut State, number: u32, time: Time, events: &mut Vec<Event>) -> Result<()> {
    for number in 0..number {
        let operator = Operator { actor: "loadgen".into(), reason: "set up".into() };
        let action = AdminAction::CreateAccount { reference: format!("idle-{number}").into() };
        state.decide(&Command::Admin { operator, action }, time, events).context("creating an account")?;
    }
    Ok(())
}
