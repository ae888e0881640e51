//! This module is a second exchange, slow and simple: one list of open orders, searched completely for everything; trades are
//! stored forever. It shares the vocabulary of commands with the real exchange, but none of its rules.

mod amend;
mod filters;
mod lists;
mod oto;
mod stops;

use crate::support::{BTC, MARKET, USDT};
use exchange_core::command::{CancelOrder, CancelReplaceMode, CancelRestriction, Command, NewOrder};
use exchange_core::limits::{ExchangeLimits, MarketLimits};
use exchange_core::market::{Commission, Filters};
use exchange_core::order::{AccountId, AssetId, ClientId, OrderType, Side, StpMode, TimeInForce};
use std::collections::BTreeMap;

const ONE: i128 = 100_000_000;

#[derive(Debug, Clone)]
pub struct Open {
    pub id: u64,
    pub new: NewOrder,
    pub executed: i64,
    pub executed_quote: i128,
    pub prevented: i64,
    /// Of an iceberg order on the book: the rest of the part that is shown.
    pub shown: i64,
    /// Of a trailing stop order that tracks the price: the best price since then.
    pub best: Option<i64>,
    /// It triggered, and waits to be queued.
    hit: bool,
    pub hold: i128,
    pub list: u64,
    /// Some(arrival) on the book, None while it waits or takes.
    pub arrived: Option<u64>,
    pub waiting: bool,
    /// Waits for the working order of its list.
    pub pending: bool,
    pub amendments: usize,
    pub status: &'static str,
}

impl Open {
    fn left(&self) -> i64 {
        self.new.quantity - self.executed - self.prevented
    }

    /// What the book shows of it.
    pub fn visible(&self) -> i64 {
        if self.new.iceberg > 0 { self.shown } else { self.left() }
    }
}

pub struct Naive {
    pub filters: Filters,
    pub commission: Commission,
    pub market_limits: MarketLimits,
    pub limits: ExchangeLimits,
    pub balances: BTreeMap<(AccountId, AssetId), (i128, i128)>,
    pub open: Vec<Open>,
    pub ended: Vec<Open>,
    /// price, quantity, time
    pub trades: Vec<(i64, i64, i64)>,
    pub lists: Vec<(u64, AccountId, ClientId)>,
    /// Waiting orders whose price was reached, in the order in which they run.
    queue: Vec<u64>,
    pub last_id: u64,
    pub last_list: u64,
    /// False: feature level 1.
    pub newest_level: bool,
    arrivals: u64,
    now: i64,
}

/// id, status, executed, executed quote of each order in the reply.
pub type Shown = Vec<(u64, &'static str, i64, i128)>;
pub type Answer = Result<Shown, String>;

fn refuse<T>(text: &str) -> Result<T, String> {
    Err(text.to_owned())
}

impl Naive {
    pub fn new(filters: Filters, commission: Commission) -> Self {
        Self {
            filters,
            commission,
            market_limits: MarketLimits::default(),
            limits: ExchangeLimits::default(),
            balances: BTreeMap::new(),
            open: Vec::new(),
            ended: Vec::new(),
            trades: Vec::new(),
            lists: Vec::new(),
            queue: Vec::new(),
            last_id: 0,
            last_list: 0,
            newest_level: true,
            arrivals: 0,
            now: 0,
        }
    }

    pub fn run(&mut self, command: &Command, now: i64) -> Answer {
        self.now = now;
        if matches!(command, Command::Place(_) | Command::CancelReplace { .. } | Command::PlaceOco(_) | Command::PlaceOto(_)) {
            while self.step(now) {}
        }
        match command {
            Command::Place(new) => {
                self.check(new, 1)?;
                self.place(new.clone()).map(|shown| vec![shown])
            }
            Command::Cancel(cancel) => self.cancel(cancel),
            Command::CancelAll { account, .. } => {
                let mut ids: Vec<u64> = self.open.iter().filter(|o| o.new.account == *account).map(|o| o.id).collect();
                ids.sort_unstable();
                if ids.is_empty() {
                    return refuse("Unknown order sent.");
                }
                let mut shown = Vec::new();
                for id in ids {
                    if self.find(id).is_some() {
                        shown.extend(self.cancel_with_list(id));
                    }
                }
                Ok(shown)
            }
            Command::CancelList { account, list, .. } => {
                let known = self.lists.iter().any(|(id, owner, _)| Some(*id) == *list && owner == account);
                match self.open.iter().find(|o| known && Some(o.list) == *list).map(|o| o.id) {
                    Some(id) => Ok(self.cancel_with_list(id)),
                    None => refuse("Unknown order sent."),
                }
            }
            Command::CancelReplace { cancel, new, mode } => {
                self.check_filters(new, 1)?;
                let mut shown = Vec::new();
                let canceled = self.cancel(cancel);
                let failed = canceled.is_err();
                shown.extend(canceled.unwrap_or_default());
                if !failed || *mode == CancelReplaceMode::AllowFailure {
                    let placed = self.check(new, 1).and_then(|()| self.place(new.clone()));
                    shown.extend(placed);
                }
                Ok(shown)
            }
            Command::PlaceOco(oco) => self.oco(oco),
            Command::PlaceOto(oto) => self.oto(oto),
            Command::Amend(amend) => self.amend(amend),
            Command::Tick => Ok(Vec::new()),
            Command::Admin { .. } => panic!("the twin is set up by hand"),
        }
    }

    fn balance(&mut self, account: AccountId, asset: AssetId) -> &mut (i128, i128) {
        self.balances.entry((account, asset)).or_default()
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.open.iter().position(|o| o.id == id)
    }

    pub fn last_price(&self) -> i64 {
        self.trades.last().map_or(0, |t| t.0)
    }

    fn average(&self) -> Option<i128> {
        let minute = |time: i64| time.div_euclid(60_000_000);
        let from = minute(self.now) - i64::from(self.filters.average_minutes) + 1;
        let recent: Vec<_> = self.trades.iter().filter(|t| minute(t.2) >= from).collect();
        let base: i128 = recent.iter().map(|t| i128::from(t.1)).sum();
        let quote: i128 = recent.iter().map(|t| i128::from(t.0) * i128::from(t.1) / ONE).sum();
        match (base, self.last_price()) {
            (0, 0) => None,
            (0, last) => Some(last.into()),
            _ => Some(quote * ONE / base),
        }
    }

    fn check(&self, new: &NewOrder, count: usize) -> Result<(), String> {
        if new.stp == StpMode::Decrement && !self.newest_level {
            return refuse("This symbol does not allow the specified self-trade prevention mode.");
        }
        if new.iceberg > 0 && !self.newest_level {
            return refuse("Iceberg orders are not supported for this symbol.");
        }
        if new.trailing_delta > 0 && !self.newest_level {
            return refuse("Trailing stop orders are not supported for this symbol.");
        }
        self.check_filters(new, count)?;
        if self.open.iter().any(|o| o.new.account == new.account && o.new.client_id == new.client_id) {
            return refuse("Duplicate order sent.");
        }
        Ok(())
    }

    /// The resting orders that a taker matches, in order.
    fn opposite(&self, taker: &NewOrder) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.open.len())
            .filter(|i| {
                let maker = &self.open[*i];
                let good = match (taker.kind.has_price(), taker.side) {
                    (false, _) => true,
                    (true, Side::Buy) => maker.new.price <= taker.price,
                    (true, Side::Sell) => maker.new.price >= taker.price,
                };
                maker.arrived.is_some() && maker.new.side != taker.side && good
            })
            .collect();
        found.sort_by_key(|i| {
            let maker = &self.open[*i];
            let price = if taker.side == Side::Buy { maker.new.price } else { -maker.new.price };
            (price, maker.arrived)
        });
        found
    }

    /// Result of walking the book for at most `quantity` and at most `budget`: quantity, value, and whether the book ended first.
    /// What an iceberg order has left after its shown part is another order behind all others at its price.
    fn preview(&self, taker: &NewOrder, quantity: i64, budget: Option<i128>) -> (i64, i128, bool) {
        let (mut got, mut value) = (0i64, 0i128);
        let mut makers: Vec<(Open, i64)> =
            self.opposite(taker).into_iter().map(|i| (self.open[i].clone(), self.open[i].visible())).collect();
        let mut at = 0;
        while at < makers.len() {
            let (maker, visible) = makers[at].clone();
            let behind = maker.left() - visible;
            at += 1;
            if maker.new.account == taker.account && !matches!(taker.stp, StpMode::None | StpMode::Decrement) {
                if taker.stp == StpMode::ExpireMaker {
                    continue;
                }
                return (got, value, true);
            }
            let price = i128::from(maker.new.price);
            let mut open = quantity - got;
            if let Some(budget) = budget {
                let lots = (budget - value) * ONE / price / i128::from(self.filters.step_size);
                open = open.min(i64::try_from(lots * i128::from(self.filters.step_size)).unwrap_or(i64::MAX));
            }
            if behind > 0 {
                let end = makers.iter().rposition(|other| other.0.new.price == maker.new.price).unwrap() + 1;
                let part = behind.min(maker.new.iceberg);
                let mut rest = maker.clone();
                rest.executed += visible;
                makers.insert(end, (rest, part));
            }
            let take = open.min(visible);
            got += take;
            value += price * i128::from(take) / ONE;
            if take == open {
                return (got, value, false);
            }
        }
        (got, value, true)
    }

    /// Quantity, hold, and whether the book ended first; or the refusal.
    fn terms(&self, new: &NewOrder) -> Result<(i64, i128, bool), String> {
        let worth = |price: i64| match new.side {
            Side::Buy => i128::from(price) * i128::from(new.quantity) / ONE,
            Side::Sell => new.quantity.into(),
        };
        match new.kind {
            OrderType::Limit => Ok((new.quantity, worth(new.price), false)),
            OrderType::LimitMaker if !self.opposite(new).is_empty() => refuse("Order would immediately match and take."),
            OrderType::LimitMaker => Ok((new.quantity, worth(new.price), false)),
            OrderType::Market if new.quote_order_quantity > 0 => {
                if self.opposite(new).is_empty() {
                    return refuse("Order book liquidity is less than symbol minimum quantity.");
                }
                let (quantity, value, ended) = self.preview(new, i64::MAX, Some(new.quote_order_quantity));
                if quantity < self.filters.min_quantity {
                    return refuse("Order book liquidity is less than `LOT_SIZE` filter minimum quantity.");
                }
                if quantity < self.filters.market_min_quantity {
                    return refuse("Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.");
                }
                for (most, name) in
                    [(self.filters.max_quantity, "LOT_SIZE"), (self.filters.market_max_quantity, "MARKET_LOT_SIZE")]
                {
                    if quantity > most {
                        return refuse(&format!("Filter failure: {name}"));
                    }
                }
                Ok((quantity, if new.side == Side::Buy { value } else { quantity.into() }, ended))
            }
            OrderType::Market => {
                let (_, value, ended) = self.preview(new, new.quantity, None);
                Ok((new.quantity, if new.side == Side::Buy { value } else { new.quantity.into() }, ended))
            }
            _ => {
                let last = self.last_price();
                let set_off = match (new.kind, new.side) {
                    (OrderType::StopLoss | OrderType::StopLossLimit, Side::Buy)
                    | (OrderType::TakeProfit | OrderType::TakeProfitLimit, Side::Sell) => last >= new.stop_price,
                    _ => last <= new.stop_price,
                };
                if last != 0 && new.stop_price != 0 && set_off {
                    return refuse("Order would trigger immediately.");
                }
                let price = match (new.kind.has_price(), new.stop_price) {
                    (true, _) => new.price,
                    (_, 0) => last,
                    (_, stop) => stop,
                };
                Ok((new.quantity, worth(price), false))
            }
        }
    }

    fn asset(side: Side) -> AssetId {
        if side == Side::Buy { USDT } else { BTC }
    }

    fn add(&mut self, mut new: NewOrder, quantity: i64, hold: i128, list: u64) -> u64 {
        self.last_id += 1;
        new.quantity = quantity;
        let balance = self.balance(new.account, Self::asset(new.side));
        balance.0 -= hold;
        balance.1 += hold;
        let waiting = new.kind.is_algo();
        let best = (waiting && new.trailing_delta > 0 && new.stop_price == 0).then(|| self.last_price()).filter(|last| *last > 0);
        self.open.push(Open {
            id: self.last_id,
            new,
            executed: 0,
            executed_quote: 0,
            prevented: 0,
            shown: 0,
            best,
            hit: false,
            hold,
            list,
            arrived: None,
            waiting,
            pending: false,
            amendments: 0,
            status: "NEW",
        });
        self.last_id
    }

    fn place(&mut self, new: NewOrder) -> Result<(u64, &'static str, i64, i128), String> {
        assert_eq!(new.market, MARKET);
        let (quantity, hold, ended) = self.terms(&new)?;
        if self.balance(new.account, Self::asset(new.side)).0 < hold {
            return refuse("Account has insufficient balance for requested action.");
        }
        let id = self.add(new, quantity, hold, 0);
        let mark = self.trades.len();
        if !self.open[self.find(id).unwrap()].waiting {
            self.take(id, ended);
        }
        let shown = self.show(id);
        self.reach(mark);
        Ok(shown)
    }

    fn show(&self, id: u64) -> (u64, &'static str, i64, i128) {
        let order = self.open.iter().chain(&self.ended).find(|o| o.id == id).unwrap();
        (id, order.status, order.executed, order.executed_quote)
    }

    fn end(&mut self, id: u64, status: &'static str) {
        let Some(index) = self.find(id) else { return };
        let mut order = self.open.remove(index);
        order.status = status;
        let hold = std::mem::take(&mut order.hold);
        let balance = self.balance(order.new.account, Self::asset(order.new.side));
        balance.1 -= hold;
        balance.0 += hold;
        let (list, was_pending) = (order.list, order.pending);
        self.ended.push(order);
        if list != 0 && !was_pending {
            self.end_of_working(list, status);
        }
        if list != 0 && !self.open.iter().any(|o| o.list == list) {
            self.lists.retain(|l| l.0 != list);
        }
    }

    fn end_others(&mut self, id: u64, status: &'static str) {
        let Some(index) = self.find(id) else { return };
        let Open { list, pending, .. } = self.open[index];
        let other = |o: &&Open| list != 0 && o.list == list && o.id != id && o.pending == pending;
        let others: Vec<u64> = self.open.iter().filter(other).map(|o| o.id).collect();
        for other in others {
            self.end(other, status);
        }
    }

    fn take(&mut self, id: u64, ended: bool) {
        let new = self.open[self.find(id).unwrap()].new.clone();
        // An own order in the way takes a part of a decremented order, so that it cannot be filled.
        let walks = match new.stp {
            StpMode::Decrement => NewOrder { stp: StpMode::ExpireTaker, ..new.clone() },
            _ => new.clone(),
        };
        if new.kind.has_price()
            && new.time_in_force == TimeInForce::Fok
            && self.preview(&walks, new.quantity, None).0 < new.quantity
        {
            return self.end(id, "EXPIRED");
        }
        while let Some(me) = self.find(id) {
            let left = self.open[me].left();
            let Some(maker) = self.opposite(&new).first().copied() else { break };
            if left == 0 {
                break;
            }
            let (maker_id, price, maker_left) = (self.open[maker].id, self.open[maker].new.price, self.open[maker].visible());
            let own = self.open[maker].new.account == new.account;
            if own && !matches!(new.stp, StpMode::None | StpMode::Decrement) {
                if new.stp != StpMode::ExpireTaker {
                    let whole = self.open[maker].left();
                    self.open[maker].prevented += whole;
                    self.end_others(maker_id, "EXPIRED");
                    self.end(maker_id, "EXPIRED_IN_MATCH");
                }
                if new.stp != StpMode::ExpireMaker {
                    self.end(id, "EXPIRED_IN_MATCH");
                }
                continue;
            }
            let mut quantity = left.min(maker_left);
            if new.side == Side::Buy && !new.kind.has_price() {
                let lots = self.open[me].hold * ONE / i128::from(price) / i128::from(self.filters.step_size);
                quantity = quantity.min(i64::try_from(lots * i128::from(self.filters.step_size)).unwrap_or(i64::MAX));
                if quantity == 0 {
                    break;
                }
            }
            self.end_others(maker_id, "EXPIRED");
            if own && new.stp == StpMode::Decrement {
                for order in [maker_id, id] {
                    self.lose(order, price, quantity);
                }
                continue;
            }
            self.trade(id, maker_id, price, quantity);
        }
        let Some(me) = self.find(id) else { return };
        match (new.kind.has_price(), new.time_in_force) {
            (true, TimeInForce::Gtc) => {
                self.arrive(me);
            }
            (true, _) => self.end(id, "EXPIRED"),
            (false, _) => {
                let whole = new.quote_order_quantity > 0 && self.open[me].left() == 0 && !ended;
                self.end(id, if whole { "FILLED" } else { "EXPIRED" });
            }
        }
    }

    /// The order at this position of the list joins the book, or shows its next part there.
    pub fn arrive(&mut self, me: usize) {
        self.arrivals += 1;
        let order = &mut self.open[me];
        order.arrived = Some(self.arrivals);
        order.shown = order.left().min(order.new.iceberg);
    }

    /// A part of the order's shown quantity left the book.
    fn show_next(&mut self, id: u64, quantity: i64) {
        let Some(me) = self.find(id).filter(|me| self.open[*me].new.iceberg > 0 && self.open[*me].arrived.is_some()) else {
            return;
        };
        self.open[me].shown -= quantity;
        if self.open[me].shown == 0 && self.open[me].left() > 0 {
            self.arrive(me);
        }
    }

    /// Decrements an order by a quantity that would have traded at `price`.
    fn lose(&mut self, id: u64, price: i64, quantity: i64) {
        let me = self.find(id).unwrap();
        let order = &mut self.open[me];
        order.prevented += quantity;
        let own_price = if order.new.kind.has_price() { order.new.price } else { price };
        let back = match order.new.side {
            Side::Buy => (i128::from(own_price) * i128::from(quantity) / ONE).min(order.hold),
            Side::Sell => quantity.into(),
        };
        order.hold -= back;
        let (account, side, left) = (order.new.account, order.new.side, order.left());
        let balance = self.balance(account, Self::asset(side));
        balance.1 -= back;
        balance.0 += back;
        if left == 0 {
            self.end(id, "EXPIRED_IN_MATCH");
        } else {
            self.show_next(id, quantity);
        }
    }

    fn trade(&mut self, taker: u64, maker: u64, price: i64, quantity: i64) {
        let value = i128::from(price) * i128::from(quantity) / ONE;
        self.trades.push((price, quantity, self.now));
        self.track(price);
        for (id, rate) in [(taker, self.commission.taker), (maker, self.commission.maker)] {
            let me = self.find(id).unwrap();
            let order = &mut self.open[me];
            order.executed += quantity;
            order.executed_quote += value;
            order.status = "PARTIALLY_FILLED";
            let account = order.new.account;
            let (pays, gets, gives, spent) = match order.new.side {
                Side::Buy => (USDT, BTC, i128::from(quantity), value),
                Side::Sell => (BTC, USDT, value, i128::from(quantity)),
            };
            // A limit buy locked its own price; the difference comes back.
            let unlocked = if order.new.side == Side::Buy && order.new.kind.has_price() {
                i128::from(order.new.price) * i128::from(quantity) / ONE
            } else {
                spent
            };
            order.hold -= unlocked;
            let whole = order.left() == 0 && order.new.quote_order_quantity == 0;
            let paying = self.balance(account, pays);
            paying.1 -= unlocked;
            paying.0 += unlocked - spent;
            let fee = gives * i128::from(rate) / ONE;
            self.balance(account, gets).0 += gives - fee;
            self.balance(exchange_core::FEES, gets).0 += fee;
            if whole {
                self.end(id, "FILLED");
            } else {
                self.show_next(id, quantity);
            }
        }
    }

    fn cancel_with_list(&mut self, id: u64) -> Shown {
        let list = self.open[self.find(id).unwrap()].list;
        let mut ids: Vec<u64> = self.open.iter().filter(|o| o.id == id || (list != 0 && o.list == list)).map(|o| o.id).collect();
        ids.sort_unstable();
        for id in &ids {
            self.end(*id, "CANCELED");
        }
        ids.into_iter().map(|id| self.show(id)).collect()
    }

    fn cancel(&mut self, cancel: &CancelOrder) -> Answer {
        let mine = |o: &&Open| o.new.account == cancel.account;
        let order = match cancel.order {
            Some(id) => self.open.iter().filter(mine).find(|o| o.id == id),
            None => self.open.iter().filter(mine).find(|o| Some(o.new.client_id) == cancel.client_id),
        };
        let Some(order) = order else { return refuse("Unknown order sent.") };
        if cancel.client_id.is_some_and(|id| id != order.new.client_id) {
            return refuse("Client order ID is not correct for this order ID.");
        }
        let fits = match cancel.restriction {
            None => true,
            Some(CancelRestriction::OnlyNew) => order.executed == 0 && !order.pending,
            Some(CancelRestriction::OnlyPartiallyFilled) => order.executed > 0,
        };
        if !fits {
            return refuse("Order was not canceled due to cancel restrictions.");
        }
        let id = order.id;
        Ok(self.cancel_with_list(id))
    }
}
