//! Tests of a cascade on a running engine: other markets run in between, the market's next order waits for it, a new leader
//! resumes it.

use exchange_core::{
    command::{AdminAction, CancelOrder, Command, NewOrder, Operator, Outcome},
    event::Event,
    market::{Commission, Filters, MarketStatus},
    money::SCALE,
    order::{AccountId, ClientId, MarketId, OrderType, Side, StpMode, TimeInForce},
};
use sqlx::{Connection, PgConnection};

use crate::{
    eventually::until,
    replica::{TestReplica, database},
};

const STOPS: usize = 2_000;

/// Two markets, the account that owns the stops, and the account that trades with them.
struct Stage {
    url: String,
    replica: TestReplica,
}

const SELLER: AccountId = 2;
const BUYER: AccountId = 3;

fn admin(action: AdminAction) -> Command {
    Command::Admin { operator: Operator { actor: "test".into(), reason: "test".into() }, action }
}

fn order(account: AccountId, market: MarketId, side: Side, price: i64, quantity: i64, id: &str) -> NewOrder {
    NewOrder {
        account,
        market,
        side,
        kind: OrderType::Limit,
        time_in_force: TimeInForce::Gtc,
        stp: StpMode::None,
        price: price * SCALE,
        stop_price: 0,
        quantity: quantity * SCALE / 100,
        quote_order_quantity: 0,
        iceberg: 0,
        trailing_delta: 0,
        client_id: ClientId::new(id).unwrap(),
    }
}

fn stop(price: i64, id: &str) -> NewOrder {
    let order = order(SELLER, 0, Side::Sell, 0, 100, id);
    NewOrder { kind: OrderType::StopLoss, stop_price: price * SCALE, ..order }
}

impl Stage {
    /// `STOPS` stops at 95 wait above bids at 90; no trade has reached them.
    async fn set() -> Self {
        let url = database().await;
        let replica = TestReplica::with_queue(&url, 2 * STOPS);
        replica.leads().await;
        let stage = Self { url, replica };
        for code in ["BTC", "USDT"] {
            stage.does(admin(AdminAction::CreateAsset { code: code.into() })).await;
        }
        for symbol in ["BTCUSDT", "OTHER"] {
            let filters = Filters { max_orders: 100_000, max_algo_orders: 100_000, ..Filters::default() };
            let (symbol, commission) = (symbol.into(), Commission::default());
            stage.does(admin(AdminAction::CreateMarket { symbol, base: 0, quote: 1, filters, commission })).await;
        }
        for account in [SELLER, BUYER] {
            stage.does(admin(AdminAction::CreateAccount { reference: account.to_string().into() })).await;
            for asset in [0, 1] {
                let (amount, reference) = (10_000_000 * i128::from(SCALE), format!("{account} {asset}").into());
                stage.does(admin(AdminAction::Credit { account, asset, amount, reference })).await;
            }
        }
        for (account, side, price, quantity) in
            [(SELLER, Side::Sell, 100, 1), (BUYER, Side::Buy, 100, 1), (BUYER, Side::Buy, 90, 5_000)]
        {
            let id = format!("{side}{price}");
            stage.does(Command::Place(order(account, 0, side, price, quantity * 100, &id))).await;
        }
        let stops =
            (0..STOPS).map(|number| stage.replica.engine.submit(Command::Place(stop(95, &format!("stop{number}"))), None));
        for placed in futures::future::join_all(stops).await {
            placed.unwrap();
        }
        stage
    }

    async fn does(&self, command: Command) -> exchange::engine::CommandReply {
        self.replica.engine.submit(command, None).await.unwrap()
    }

    fn queued(&self) -> usize {
        self.replica.engine.committed().read().state.queued_orders(0)
    }
}

/// Reaches every stop.
fn reaching() -> Command {
    Command::Place(order(SELLER, 0, Side::Sell, 90, 100, "reaching"))
}

fn set_status(status: MarketStatus) -> Command {
    admin(AdminAction::SetMarketStatus { market: 0, status })
}

#[tokio::test]
async fn other_markets_are_answered_during_a_cascade() {
    let stage = Stage::set().await;
    let engine = &stage.replica.engine;
    let elsewhere = Command::Place(order(BUYER, 1, Side::Buy, 50, 100, "elsewhere"));
    let next = Command::Place(order(BUYER, 0, Side::Buy, 90, 100, "next"));
    let (reached, elsewhere, next) =
        futures::join!(engine.submit(reaching(), None), engine.submit(elsewhere, None), engine.submit(next, None));
    let (reached, elsewhere, next) = (reached.unwrap().sequence, elsewhere.unwrap().sequence, next.unwrap().sequence);
    assert!(reached < elsewhere && elsewhere < next);
    let events = next - elsewhere;
    assert!(events > STOPS as u64, "the stops run after another market's order, before the market's own: {events} events");
    assert_eq!(stage.queued(), 0, "the market's next order waited for the last stop");
}

#[tokio::test]
async fn a_new_leader_goes_on_with_a_cascade() {
    let stage = Stage::set().await;
    let engine = &stage.replica.engine;
    // Halted in the same drain of the queue: most of the stops have not run yet.
    let (reached, halted) = futures::join!(engine.submit(reaching(), None), engine.submit(set_status(MarketStatus::Halt), None));
    reached.unwrap();
    halted.unwrap();
    let left = stage.queued();
    assert!(left > STOPS / 2, "{left} of {STOPS} stops wait");
    let Stage { url, replica } = stage;
    replica.end().await;

    let replica = TestReplica::leading(&url).await;
    let stage = Stage { url, replica };
    assert_eq!(stage.queued(), left, "the queue is in the journal");
    // One that waits for its turn can be canceled.
    stage.does(set_status(MarketStatus::CancelOnly)).await;
    let last = ClientId::new(&format!("stop{}", STOPS - 1));
    let cancel = CancelOrder { account: SELLER, market: 0, order: None, client_id: last, restriction: None };
    assert!(matches!(stage.does(Command::Cancel(cancel)).await.outcome, Outcome::Canceled(_)));
    stage.does(set_status(MarketStatus::Trading)).await;
    until("the queue is empty", || async { stage.queued() == 0 }).await;
    let committed = stage.replica.engine.committed().read();
    assert_eq!(committed.state.open_orders(SELLER, None).len(), 0);
    let sold = 1 + 1 + STOPS as i128 - 1;
    assert_eq!(committed.state.balance(SELLER, 0).free, (10_000_000 - sold) * i128::from(SCALE), "each sold once");
}

#[tokio::test]
async fn a_stop_of_the_server_does_not_wait_for_a_cascade() {
    let stage = Stage::set().await;
    let engine = stage.replica.engine.clone();
    let (reached, halted) = futures::join!(engine.submit(reaching(), None), engine.submit(set_status(MarketStatus::Halt), None));
    reached.unwrap();
    halted.unwrap();
    assert!(stage.queued() > 0);
    stage.replica.end().await;
    assert!(!engine.is_leader());
}

/// The previous release can read a journal that it started until an operator raises the level.
#[tokio::test]
async fn a_journal_of_level_1_stays_at_level_1() {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut payload = Vec::new();
    exchange_core::batch::encode(&[Event::Clock(1_700_000_000_000_000)], &mut payload);
    let append = exchange::db::journal::Append {
        epoch: 0,
        previous_sequence: 0,
        last_sequence: 1,
        checksum: exchange_core::batch::checksum(&payload),
        payload: &payload,
    };
    assert!(exchange::db::journal::append_batch(&mut connection, append).await.unwrap());
    let replica = TestReplica::leading(&url).await;
    replica.create_account("one").await.unwrap();
    let levels = |payloads: Vec<Vec<u8>>| -> Vec<u8> { payloads.iter().map(|payload| payload[1]).collect() };
    let all = async || -> Vec<u8> {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let rows = sqlx::query_scalar("SELECT payload FROM journal ORDER BY first_seq").fetch_all(&mut connection).await;
        levels(rows.unwrap())
    };
    assert!(all().await.iter().all(|level| *level == 1));
    let level = admin(AdminAction::SetFeatureLevel { level: 2 });
    replica.engine.submit(level, None).await.unwrap();
    assert_eq!(all().await.iter().max(), Some(&2));
    replica.end().await;
}
