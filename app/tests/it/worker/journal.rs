//! This module is a minimal leader: it decides commands from a seed and appends them to the journal as batches.

use exchange::{
    chain::Chain,
    db::{head, journal},
};
use exchange_core::{
    State, batch,
    command::{AdminAction, AmendOrder, CancelOrder, Command, NewOco, NewOrder, NewOto, OcoLeg, Operator, PendingOrders},
    event::Event,
    market::{Commission, Filters},
    money::{Amount, SCALE, Time},
    order::{AccountId, ClientId, OrderType, Side, StpMode, TimeInForce},
};
use sqlx::{Connection, PgConnection};

pub const START: Time = 1_700_000_000_000_000;
const ACCOUNTS: u32 = 6;
/// Ids of the first and of the last customer.
pub const FIRST: AccountId = 2;
pub const LAST: AccountId = FIRST + ACCOUNTS - 1;

pub struct Journal {
    connection: PgConnection,
    epoch: i64,
    pub state: State,
    pub chain: Chain,
    /// Every event since the first.
    pub events: Vec<Event>,
    now: Time,
    random: u64,
    next_client: u32,
}

impl Journal {
    /// Two markets, six customers with money.
    pub async fn begin(url: &str, seed: u64) -> Self {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let (epoch, _) = head::claim_head(&mut connection, 0, "127.0.0.1:1").await.unwrap().unwrap();
        let mut journal = Self {
            connection,
            epoch,
            state: State::new(),
            chain: Chain::GENESIS,
            events: Vec::new(),
            now: START,
            random: seed | 1,
            next_client: 0,
        };
        let mut commands: Vec<_> =
            ["BTC", "USDT", "ETH"].map(|code| admin(AdminAction::CreateAsset { code: code.into() })).into();
        let commission = Commission { maker: 100_000, taker: 200_000 };
        for (symbol, base) in [("BTCUSDT", 0), ("ETHUSDT", 2)] {
            let filters = Filters { max_orders: 10_000, max_algo_orders: 1_000, ..Filters::default() };
            commands.push(admin(AdminAction::CreateMarket { symbol: symbol.into(), base, quote: 1, filters, commission }));
        }
        for customer in FIRST..=LAST {
            commands.push(admin(AdminAction::CreateAccount { reference: format!("customer-{customer}").into() }));
            for (asset, amount) in [(0, 1_000), (1, 1_000_000), (2, 20_000)] {
                let reference = format!("credit-{customer}-{asset}").into();
                commands.push(admin(AdminAction::Credit {
                    account: customer,
                    asset,
                    amount: amount * Amount::from(SCALE),
                    reference,
                }));
            }
        }
        journal.commit(&commands).await;
        journal
    }

    /// Random commands in batches, as a busy leader appends them.
    pub async fn trade(&mut self, batches: usize) {
        for _ in 0..batches {
            let commands: Vec<_> = (0..1 + self.below(12)).map(|_| self.command()).collect();
            self.commit(&commands).await;
        }
    }

    /// The leader's clock is set back by `by` µs; its first command sets back journal time.
    pub async fn set_time_back(&mut self, by: Time) {
        self.now -= by;
        self.commit(&[admin(AdminAction::SetTimeBack)]).await;
        assert!(matches!(self.events.last(), Some(Event::TimeSetBack(_))), "{:?}", self.events.last());
    }

    /// Call it after a restart of PostgreSQL.
    pub async fn reconnect(&mut self, url: &str) {
        self.connection = PgConnection::connect(url).await.unwrap();
    }

    /// Decides the commands and appends their events as one batch; refused commands leave no trace.
    pub async fn commit(&mut self, commands: &[Command]) {
        let from = self.state.sequence();
        let mut events = Vec::new();
        for command in commands {
            // Advance some minutes, so that candles and the marks of minutes are used.
            self.now += 1 + self.below(40_000_000) as Time;
            let _ = self.state.decide(command, self.now, &mut events);
        }
        if events.is_empty() {
            return;
        }
        let mut payload = Vec::new();
        batch::encode(&events, &mut payload);
        let append = journal::Append {
            epoch: self.epoch,
            previous_sequence: from as i64,
            last_sequence: self.state.sequence() as i64,
            checksum: batch::checksum(&payload),
            payload: &payload,
        };
        assert!(journal::append_batch(&mut self.connection, append).await.unwrap());
        assert!(head::beat(&mut self.connection, self.epoch).await.unwrap());
        self.chain = self.chain.next(from as i64 + 1, self.state.sequence() as i64, self.epoch, &payload);
        self.events.extend(events);
    }

    fn command(&mut self) -> Command {
        let account = FIRST + self.below(ACCOUNTS.into()) as AccountId;
        let market = self.below(2) as u16;
        let side = if self.below(2) == 0 { Side::Buy } else { Side::Sell };
        let price = 1_000 + self.below(20) as i64;
        match self.below(21) {
            0 => Command::CancelAll { account, market },
            1..=4 => {
                let open: Vec<_> = self.state.open_orders(account, Some(market)).iter().map(|order| order.id).collect();
                let order = if open.is_empty() { u64::MAX } else { open[self.below(open.len() as u64) as usize] };
                Command::Cancel(CancelOrder { account, market, order: Some(order), client_id: None, restriction: None })
            }
            5 => Command::Place(NewOrder { kind: OrderType::Market, price: 0, ..self.order(account, market, side, price) }),
            6 => Command::Place(NewOrder {
                kind: OrderType::Market,
                price: 0,
                quantity: 0,
                quote_order_quantity: Amount::from(SCALE) * (20 + self.below(3_000) as Amount),
                ..self.order(account, market, side, price)
            }),
            7 => Command::Place(NewOrder { time_in_force: TimeInForce::Ioc, ..self.order(account, market, side, price) }),
            8 => Command::PlaceOco(self.oco(account, market, price)),
            9 => self.oto(account, market, price),
            10 | 11 => self.amend(account, market),
            12 => {
                Command::Place(NewOrder { quantity: SCALE / 5, iceberg: SCALE / 20, ..self.order(account, market, side, price) })
            }
            13 => self.trailing(account, market, side, price),
            _ => Command::Place(self.order(account, market, side, price)),
        }
    }

    /// Half of them track the price from the start.
    fn trailing(&mut self, account: AccountId, market: u16, side: Side, price: i64) -> Command {
        let stop_price = if self.below(2) == 0 { 0 } else { price * SCALE };
        let trailing_delta = 10 + self.below(60) as u32;
        let order = self.order(account, market, side, price);
        Command::Place(NewOrder { kind: OrderType::StopLossLimit, stop_price, trailing_delta, ..order })
    }

    /// Of any of the account's open orders, under another client id half of the time.
    fn amend(&mut self, account: AccountId, market: u16) -> Command {
        let open: Vec<_> = self.state.open_orders(account, Some(market)).into_iter().copied().collect();
        if open.is_empty() {
            return Command::Tick;
        }
        let order = open[self.below(open.len() as u64) as usize];
        let new_client_id = if self.below(2) == 0 { self.client_id() } else { order.client_id };
        let quantity = order.quantity / 2 / (SCALE / 1_000) * (SCALE / 1_000);
        Command::Amend(AmendOrder { account, market, order: Some(order.id), client_id: None, new_client_id, quantity })
    }

    fn order(&mut self, account: AccountId, market: u16, side: Side, price: i64) -> NewOrder {
        let stp = StpMode::ALL[self.below(StpMode::ALL.len() as u64) as usize];
        NewOrder {
            account,
            market,
            side,
            kind: OrderType::Limit,
            time_in_force: TimeInForce::Gtc,
            stp,
            price: price * SCALE,
            stop_price: 0,
            quantity: SCALE / 100 * (1 + self.below(100) as i64),
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: self.client_id(),
        }
    }

    /// A sell pair around the market.
    fn oco(&mut self, account: AccountId, market: u16, price: i64) -> NewOco {
        let mut leg = |kind, price, stop_price| OcoLeg {
            kind,
            price,
            stop_price,
            time_in_force: TimeInForce::Gtc,
            iceberg: 0,
            trailing_delta: 0,
            client_id: self.client_id(),
        };
        let above = leg(OrderType::LimitMaker, (price + 30) * SCALE, 0);
        let below = leg(OrderType::StopLossLimit, (price - 30) * SCALE, (price - 25) * SCALE);
        let list_client_id = self.client_id();
        NewOco { account, market, side: Side::Sell, quantity: SCALE / 10, stp: StpMode::None, list_client_id, above, below }
    }

    /// Buys near the market, then sells what it bought by a pair.
    fn oto(&mut self, account: AccountId, market: u16, price: i64) -> Command {
        let NewOco { side, quantity, stp, list_client_id, above, below, .. } = self.oco(account, market, price);
        let order = |leg: &OcoLeg| NewOrder {
            account,
            market,
            side,
            kind: leg.kind,
            time_in_force: leg.time_in_force,
            stp,
            price: leg.price,
            stop_price: leg.stop_price,
            quantity,
            quote_order_quantity: 0,
            iceberg: 0,
            trailing_delta: 0,
            client_id: leg.client_id,
        };
        let pending = PendingOrders::Pair { above: order(&above), below: order(&below) };
        let working = NewOrder { quantity, stp, ..self.order(account, market, Side::Buy, price) };
        Command::PlaceOto(Box::new(NewOto { list_client_id, working, pending }))
    }

    fn client_id(&mut self) -> ClientId {
        self.next_client += 1;
        ClientId::new(&format!("client-{}", self.next_client)).unwrap()
    }

    /// xorshift64*.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

pub fn admin(action: AdminAction) -> Command {
    Command::Admin { operator: Operator { actor: "test".into(), reason: "set-up".into() }, action }
}
