//! This module has an exchange with two assets and a market, short forms of commands, and random command streams from a seed.

use exchange_core::command::{
    AccountRights, AdminAction, AmendOrder, CancelOrder, CancelReplaceMode, CancelRestriction, Command, NewOco, NewOrder, NewOto,
    OcoLeg, Operator, Outcome, PendingOrders, Placed,
};
use exchange_core::event::Event;
use exchange_core::market::{Commission, Filters, MarketStatus};
use exchange_core::money::{self, Amount, SCALE, Time};
use exchange_core::order::{AccountId, AssetId, ClientId, MarketId, OrderType, Side, StpMode, TimeInForce};
use exchange_core::refusal::Refusal;
use exchange_core::{State, batch};

pub const BTC: AssetId = 0;
pub const USDT: AssetId = 1;
pub const MARKET: MarketId = 0;
/// Three customers.
pub const ALICE: AccountId = 2;
pub const BOB: AccountId = 3;
pub const CAROL: AccountId = 4;
pub const START: Time = 1_700_000_000_000_000;
pub const SECOND: Time = 1_000_000;

pub fn units(text: &str) -> i64 {
    money::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

pub fn client_id(text: &str) -> ClientId {
    ClientId::new(text).unwrap_or_else(|| panic!("{text} is not a client order id"))
}

/// A leg of a pair; "0": without that price.
pub fn leg(kind: OrderType, price: &str, stop_price: &str, id: &str) -> OcoLeg {
    OcoLeg {
        kind,
        price: units(price),
        stop_price: units(stop_price),
        time_in_force: TimeInForce::Gtc,
        iceberg: 0,
        trailing_delta: 0,
        client_id: client_id(id),
    }
}

/// A pair of Alice.
pub fn pair(side: Side, quantity: &str, above: OcoLeg, below: OcoLeg) -> NewOco {
    NewOco {
        account: ALICE,
        market: MARKET,
        side,
        quantity: units(quantity),
        stp: StpMode::None,
        list_client_id: client_id("list"),
        above,
        below,
    }
}

pub fn operator() -> Operator {
    Operator { actor: "test".into(), reason: "set-up".into() }
}

pub fn admin(action: AdminAction) -> Command {
    Command::Admin { operator: operator(), action }
}

/// Wide filters for scenarios: whole ticks of 0.01, lots of 0.001.
pub fn filters() -> Filters {
    Filters {
        step_size: units("0.001"),
        min_quantity: units("0.001"),
        min_notional: Amount::from(units("0.1")),
        max_orders: 1_000,
        max_algo_orders: 100,
        ..Filters::default()
    }
}

/// A state with its journal: every event since the first.
pub struct Exchange {
    pub state: State,
    pub journal: Vec<Event>,
    pub now: Time,
    /// True: all queued work runs after each command. False: the test runs it.
    pub works: bool,
    next_client: u32,
}

impl Exchange {
    /// BTC, USDT, BTCUSDT without commission; three customers with 1,000 BTC and 1,000,000 USDT each.
    pub fn new() -> Self {
        Self::with(filters(), Commission::default())
    }

    pub fn with(filters: Filters, commission: Commission) -> Self {
        Self::after(Vec::new(), filters, commission)
    }

    /// As [`Self::with`], on a journal that the previous release started: feature level 1.
    pub fn of_level_1(filters: Filters, commission: Commission) -> Self {
        Self::after(vec![Event::Clock(START)], filters, commission)
    }

    fn after(journal: Vec<Event>, filters: Filters, commission: Commission) -> Self {
        let mut state = State::new();
        journal.iter().for_each(|event| state.evolve(event));
        let mut exchange = Self { state, journal, now: START, works: true, next_client: 0 };
        for code in ["BTC", "USDT"] {
            exchange.must(&admin(AdminAction::CreateAsset { code: code.into() }));
        }
        let symbol = "BTCUSDT".into();
        exchange.must(&admin(AdminAction::CreateMarket { symbol, base: BTC, quote: USDT, filters, commission }));
        for name in ["alice", "bob", "carol"] {
            exchange.must(&admin(AdminAction::CreateAccount { reference: name.into() }));
        }
        for account in [ALICE, BOB, CAROL] {
            exchange.credit(account, BTC, "1000");
            exchange.credit(account, USDT, "1000000");
        }
        exchange
    }

    pub fn run(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        self.now += 1;
        while self.state.must_wait(command) && self.work() {}
        let answer = self.state.decide(command, self.now, &mut self.journal);
        while self.works && self.work() {}
        answer
    }

    /// One step of the queued work.
    pub fn work(&mut self) -> bool {
        self.state.work(self.now, &mut self.journal)
    }

    pub fn must(&mut self, command: &Command) -> Outcome {
        self.run(command).unwrap_or_else(|refusal| panic!("{command:?} was refused: {refusal}"))
    }

    pub fn credit(&mut self, account: AccountId, asset: AssetId, amount: &str) {
        let amount = Amount::from(units(amount));
        self.next_client += 1;
        let reference = format!("credit-{}", self.next_client).into();
        self.must(&admin(AdminAction::Credit { account, asset, amount, reference }));
    }

    pub fn set_status(&mut self, status: MarketStatus) {
        self.must(&admin(AdminAction::SetMarketStatus { market: MARKET, status }));
    }

    pub fn set_filters(&mut self, filters: Filters) {
        self.must(&admin(AdminAction::SetFilters { market: MARKET, filters }));
    }

    /// The newest order of the journal.
    pub fn last_order(&self) -> u64 {
        self.journal.iter().rev().find_map(Event::placed).map_or(0, |placed| placed.order)
    }

    /// The newest order list of the journal.
    pub fn last_list(&self) -> u64 {
        self.journal.iter().rev().find_map(Event::placed_list).unwrap_or(0)
    }

    pub fn order(&mut self, account: AccountId, side: Side, kind: OrderType) -> NewOrder {
        self.next_client += 1;
        NewOrder {
            account,
            market: MARKET,
            side,
            kind,
            time_in_force: TimeInForce::Gtc,
            stp: StpMode::None,
            price: 0,
            stop_price: 0,
            quantity: 0,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: client_id(&format!("c{}", self.next_client)),
        }
    }

    pub fn limit(&mut self, account: AccountId, side: Side, price: &str, quantity: &str) -> NewOrder {
        let order = self.order(account, side, OrderType::Limit);
        NewOrder { price: units(price), quantity: units(quantity), ..order }
    }

    pub fn place(&mut self, order: NewOrder) -> Placed {
        match self.must(&Command::Place(order)) {
            Outcome::Placed(placed) => *placed,
            other => panic!("not a placement: {other:?}"),
        }
    }

    pub fn place_limit(&mut self, account: AccountId, side: Side, price: &str, quantity: &str) -> Placed {
        let order = self.limit(account, side, price, quantity);
        self.place(order)
    }

    /// "free/locked", trailing zeros cut.
    pub fn balance(&self, account: AccountId, asset: AssetId) -> String {
        let balance = self.state.balance(account, asset);
        format!("{}/{}", short(balance.free), short(balance.locked))
    }

    /// The book as a table: asks from the highest down, a line, bids.
    pub fn book(&self) -> String {
        let depth = self.state.depth(MARKET, usize::MAX);
        let row = |(price, quantity): &(i64, Amount)| format!("{} x {}", short((*price).into()), short(*quantity));
        let asks: Vec<_> = depth.asks.iter().rev().map(row).collect();
        let bids: Vec<_> = depth.bids.iter().map(row).collect();
        format!("{} | {}", asks.join(", "), bids.join(", "))
    }
}

/// A decimal without trailing zeros.
pub fn short(amount: Amount) -> String {
    let text = money::Decimal(amount).to_string();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Invariants between any two commands.
pub fn check_invariants(state: &State) {
    for (asset, sum) in state.trial_balance() {
        assert_eq!(sum, 0, "asset {asset} does not sum to zero");
    }
    for account in state.accounts() {
        let mut holds = [0; 2];
        for order in state.open_orders(account.id, None) {
            holds[usize::from(if order.side == Side::Buy { USDT } else { BTC })] += order.hold;
            assert!(order.remaining() > 0 && order.hold >= 0, "an open order can trade: {order:?}");
        }
        for market in state.markets() {
            let buys = state.open_orders(account.id, Some(market.id)).into_iter().filter(|order| order.side == Side::Buy);
            let buying: Amount = buys.map(|order| Amount::from(order.remaining())).sum();
            assert_eq!(state.buying(account.id, market.id), buying, "account {} on {}", account.id, market.symbol);
        }
        for (asset, balance) in state.balances(account.id) {
            if account.id != exchange_core::CUSTODY {
                assert!(balance.free >= 0, "account {} owes {} of asset {asset}", account.id, -balance.free);
            }
            assert_eq!(balance.locked, holds[usize::from(asset)], "locked = sum of holds, account {}", account.id);
        }
    }
    let depth = state.depth(MARKET, 1);
    if let (Some((bid, _)), Some((ask, _))) = (depth.bids.first(), depth.asks.first()) {
        assert!(bid < ask, "the book is crossed: {bid} >= {ask}");
    }
}

/// Folds encoded batches as a replica would.
pub fn replay(journal: &[Event]) -> State {
    let mut state = State::new();
    for chunk in journal.chunks(97) {
        let mut bytes = Vec::new();
        batch::encode(chunk, &mut bytes);
        for event in batch::decode(&bytes).expect("an encoded batch decodes") {
            state.evolve(&event);
        }
    }
    state
}

/// SplitMix64: the seed reproduces a failure.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn account(&mut self) -> AccountId {
        self.pick(&[ALICE, BOB, CAROL])
    }

    /// 90.00 to 110.00.
    fn price(&mut self) -> i64 {
        units("90") + self.below(200) as i64 * units("0.1")
    }

    fn quantity(&mut self) -> i64 {
        (1 + self.below(3_000) as i64) * units("0.001")
    }

    /// 0.05 % to 4 %, of which the least are refused; also of types that cannot trail, but rarely.
    fn trailing(&mut self, kind: OrderType) -> u32 {
        let trails = if kind.is_algo() { self.chance(40) } else { self.chance(1) };
        if trails { 5 + self.below(400) as u32 } else { 0 }
    }

    fn stop(&mut self, kind: OrderType, trailing_delta: u32) -> i64 {
        let stated = kind.is_algo() && (trailing_delta == 0 || self.chance(50));
        if stated { self.price() } else { 0 }
    }

    /// Often, so that takers meet many; sometimes one that is refused.
    fn iceberg(&mut self, kind: OrderType, quantity: i64) -> i64 {
        if (!kind.has_price() && self.chance(95)) || self.chance(70) {
            return 0;
        }
        (quantity / (2 + self.below(12) as i64) / units("0.001") + 1) * units("0.001")
    }

    fn id(&mut self) -> ClientId {
        // Few ids, so that duplicates and matches by client id happen.
        client_id(&format!("r{}", self.below(400)))
    }

    pub fn new_order(&mut self) -> NewOrder {
        let kind = if self.chance(60) { OrderType::Limit } else { self.pick(OrderType::ALL) };
        let by_quote = kind == OrderType::Market && self.chance(40);
        let has_tif = matches!(kind, OrderType::Limit | OrderType::StopLossLimit | OrderType::TakeProfitLimit);
        let (account, side) = (self.account(), self.pick(Side::ALL));
        let time_in_force = if has_tif && self.chance(20) { self.pick(TimeInForce::ALL) } else { TimeInForce::Gtc };
        let stp = self.pick(StpMode::ALL);
        let price = if kind.has_price() { self.price() } else { 0 };
        let trailing_delta = self.trailing(kind);
        let stop_price = self.stop(kind, trailing_delta);
        let quantity = if by_quote { 0 } else { self.quantity() };
        NewOrder {
            account,
            market: MARKET,
            side,
            kind,
            time_in_force,
            stp,
            price,
            stop_price,
            quantity,
            iceberg: self.iceberg(kind, quantity),
            trailing_delta,
            quote_order_quantity: if by_quote { Amount::from(self.below(200_000) as i64 * units("0.001")) } else { 0 },
            client_id: self.id(),
        }
    }

    pub fn cancel(&mut self, last_order: u64) -> CancelOrder {
        let by_id = self.chance(70);
        CancelOrder {
            account: self.account(),
            market: MARKET,
            order: by_id.then(|| 1 + last_order.saturating_sub(self.below(40))),
            client_id: (!by_id || self.chance(5)).then(|| self.id()),
            restriction: match self.below(10) {
                0 => Some(CancelRestriction::OnlyNew),
                1 => Some(CancelRestriction::OnlyPartiallyFilled),
                _ => None,
            },
        }
    }

    /// Mostly of a fresh order and to a small quantity, so that many are accepted.
    fn amend(&mut self, last_order: u64) -> AmendOrder {
        let by_id = self.chance(95);
        AmendOrder {
            account: self.account(),
            market: MARKET,
            order: by_id.then(|| 1 + last_order.saturating_sub(self.below(40))),
            client_id: (!by_id || self.chance(5)).then(|| self.id()),
            new_client_id: self.id(),
            quantity: (1 + self.below(900) as i64) * units("0.001"),
        }
    }

    fn oco(&mut self) -> NewOco {
        let side = self.pick(Side::ALL);
        let limit_like = self.pick(&[OrderType::LimitMaker, OrderType::TakeProfit, OrderType::TakeProfitLimit]);
        let stop_like = self.pick(&[OrderType::StopLoss, OrderType::StopLossLimit]);
        let mut leg = |kind: OrderType| {
            let trailing_delta = self.trailing(kind);
            OcoLeg {
                kind,
                price: if kind.has_price() { self.price() } else { 0 },
                stop_price: self.stop(kind, trailing_delta),
                time_in_force: TimeInForce::Gtc,
                iceberg: self.iceberg(kind, units("1.5")),
                trailing_delta,
                client_id: self.id(),
            }
        };
        let (above, below) = match side {
            Side::Sell => (leg(limit_like), leg(stop_like)),
            Side::Buy => (leg(stop_like), leg(limit_like)),
        };
        NewOco {
            account: self.account(),
            market: MARKET,
            side,
            quantity: self.quantity(),
            stp: self.pick(StpMode::ALL),
            list_client_id: self.id(),
            above,
            below,
        }
    }

    /// A working order, mostly near the market, and one pending order or a pair.
    fn oto(&mut self) -> NewOto {
        let working = NewOrder { kind: self.pick(&[OrderType::Limit, OrderType::LimitMaker]), ..self.new_order() };
        let makes = working.kind == OrderType::LimitMaker;
        let working = NewOrder {
            time_in_force: if makes { TimeInForce::Gtc } else { working.time_in_force },
            price: self.price(),
            stop_price: 0,
            trailing_delta: 0,
            quantity: self.quantity() / 2 / units("0.001") * units("0.001") + units("0.001"),
            quote_order_quantity: 0,
            iceberg: if self.chance(20) { units("0.1") } else { 0 },
            ..working
        };
        let follows = |order: NewOrder| NewOrder { account: working.account, stp: working.stp, ..order };
        let pending = if self.chance(50) {
            let order = self.new_order();
            let quantity = if order.quantity == 0 { self.quantity() } else { order.quantity };
            PendingOrders::One(follows(NewOrder { quote_order_quantity: 0, quantity, ..order }))
        } else {
            let pair = self.oco();
            let order = |leg: &OcoLeg| NewOrder {
                account: working.account,
                market: MARKET,
                side: pair.side,
                kind: leg.kind,
                time_in_force: leg.time_in_force,
                stp: working.stp,
                price: leg.price,
                stop_price: leg.stop_price,
                quantity: pair.quantity,
                quote_order_quantity: 0,
                iceberg: leg.iceberg,
                trailing_delta: leg.trailing_delta,
                client_id: leg.client_id,
            };
            PendingOrders::Pair { above: order(&pair.above), below: order(&pair.below) }
        };
        NewOto { list_client_id: self.id(), working, pending }
    }

    /// An operator's action while customers trade; sometimes one that is refused.
    pub fn operator_command(&mut self) -> Command {
        let account = self.account();
        admin(match self.below(8) {
            0 => AdminAction::SetFilters {
                market: MARKET,
                filters: Filters {
                    tick_size: units(self.pick(&["0.01", "0.05", "1"])),
                    step_size: units(self.pick(&["0.001", "0.01"])),
                    market_max_quantity: units(self.pick(&["1", "1000"])),
                    ..filters()
                },
            },
            1 => AdminAction::SetMarketStatus {
                market: MARKET,
                status: self.pick(&[MarketStatus::Halt, MarketStatus::CancelOnly, MarketStatus::Trading]),
            },
            2 => AdminAction::SetMarketStatus { market: MARKET, status: MarketStatus::Trading },
            3 => AdminAction::SetCommission {
                market: MARKET,
                commission: if self.chance(50) { some_commission() } else { Commission::default() },
            },
            4 => AdminAction::SetAccountCommission { account, commission: self.chance(50).then(some_commission) },
            5 => AdminAction::SetAccountRights {
                account,
                rights: AccountRights { trade: self.chance(70), withdraw: true, deposit: true },
            },
            6 => AdminAction::CancelAccountOrders { account },
            _ => {
                let amount = Amount::from(self.below(2_000) as i64 - 1_000) * Amount::from(SCALE);
                AdminAction::Credit {
                    account,
                    asset: self.pick(&[BTC, USDT]),
                    amount,
                    reference: format!("o{}", self.next()).into(),
                }
            }
        })
    }

    /// Any command that a customer may send, and occasionally an operator's.
    pub fn anybody(&mut self, last_order: u64, last_list: u64) -> Command {
        if self.chance(2) { self.operator_command() } else { self.command(last_order, last_list) }
    }

    /// Any command that a customer may send. `last_order` and `last_list` direct cancels at orders that may be open.
    pub fn command(&mut self, last_order: u64, last_list: u64) -> Command {
        match self.below(100) {
            0..48 => Command::Place(self.new_order()),
            48..56 => Command::Amend(self.amend(last_order)),
            56..76 => Command::Cancel(self.cancel(last_order)),
            76..83 => Command::CancelReplace {
                cancel: self.cancel(last_order),
                new: self.new_order(),
                mode: self.pick(&[CancelReplaceMode::StopOnFailure, CancelReplaceMode::AllowFailure]),
            },
            83..89 => Command::PlaceOco(self.oco()),
            89..95 => Command::PlaceOto(Box::new(self.oto())),
            95..98 => Command::CancelList {
                account: self.account(),
                market: MARKET,
                list: Some(1 + last_list.saturating_sub(self.below(4))),
                client_id: None,
            },
            98 => Command::CancelAll { account: self.account(), market: MARKET },
            _ => Command::Tick,
        }
    }
}

/// Ten basis points as a maker, twenty as a taker.
pub fn some_commission() -> Commission {
    Commission { maker: SCALE / 1_000, taker: SCALE / 500 }
}
