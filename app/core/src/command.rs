//! What can be asked of the exchange, and what it answers. Never: how it is decided.

use crate::market::{Commission, Filters, MarketStatus};
use crate::money::{Amount, Price, Quantity};
use crate::order::{
    AccountId, AssetId, ClientId, Fill, MarketId, Order, OrderId, OrderListId, OrderType, Side, StpMode, TimeInForce,
};
use crate::protection::{Breaker, PriceRange};
use crate::refusal::Refusal;
use smallvec::SmallVec;

/// A new order, syntax checked, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
    pub kind: OrderType,
    /// GTC for the types that take none.
    pub time_in_force: TimeInForce,
    pub stp: StpMode,
    /// 0 when the type has none.
    pub price: Price,
    /// 0 when the type has none.
    pub stop_price: Price,
    /// 0 for a MARKET order by `quote_order_quantity`.
    pub quantity: Quantity,
    /// 0 unless a MARKET order says how much quote asset to spend or receive.
    pub quote_order_quantity: Amount,
    pub client_id: ClientId,
}

/// Which order a cancel means: by id, by client id, or by id and checked against the client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelOrder {
    pub account: AccountId,
    pub market: MarketId,
    pub order: Option<OrderId>,
    pub client_id: Option<ClientId>,
    pub restriction: Option<CancelRestriction>,
}

/// `cancelRestrictions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelRestriction {
    OnlyNew,
    OnlyPartiallyFilled,
}

/// `cancelReplaceMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReplaceMode {
    StopOnFailure,
    AllowFailure,
}

/// One leg of an OCO pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcoLeg {
    pub kind: OrderType,
    pub price: Price,
    pub stop_price: Price,
    pub time_in_force: TimeInForce,
    pub client_id: ClientId,
}

/// One-cancels-the-other. Types are checked by the caller against -1158 ... -1199; prices by the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOco {
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
    pub quantity: Quantity,
    pub stp: StpMode,
    pub list_client_id: ClientId,
    pub above: OcoLeg,
    pub below: OcoLeg,
}

/// What may be done with an account; all true at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRights {
    pub trade: bool,
    pub withdraw: bool,
    pub deposit: bool,
}

/// Who did an operator's action and why; journalled with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub actor: Box<str>,
    pub reason: Box<str>,
}

/// What only an operator may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAction {
    CreateAsset {
        code: Box<str>,
    },
    CreateMarket {
        symbol: Box<str>,
        base: AssetId,
        quote: AssetId,
        filters: Filters,
        commission: Commission,
    },
    SetFilters {
        market: MarketId,
        filters: Filters,
    },
    SetMarketStatus {
        market: MarketId,
        status: MarketStatus,
    },
    /// The status of every market that is not delisted, those in `except` left as they are. One command halts the exchange.
    SetEveryMarketStatus {
        status: MarketStatus,
        except: Vec<MarketId>,
    },
    /// Cancels every open order of a market that does not trade, in chunks. Feature level 2.
    CancelMarketOrders {
        market: MarketId,
    },
    /// Ends a market for good: BREAK, and every open order canceled in chunks. Feature level 2.
    DelistMarket {
        market: MarketId,
    },
    /// The PRICE_RANGE execution rule; `None` removes it. Feature level 2.
    SetPriceRange {
        market: MarketId,
        rule: Option<PriceRange>,
    },
    /// The reference price until the first trade; 0 removes it. Feature level 2.
    SetReferencePrice {
        market: MarketId,
        price: Price,
    },
    /// The circuit breaker; `None` removes it. Feature level 2.
    SetBreaker {
        market: MarketId,
        breaker: Option<Breaker>,
    },
    /// Lets events of this level be written. An earlier release cannot read them, and the level never goes back.
    SetFeatureLevel {
        level: u32,
    },
    SetCommission {
        market: MarketId,
        commission: Commission,
    },
    /// Rates of one account on every market; `None` goes back to the market's.
    SetAccountCommission {
        account: AccountId,
        commission: Option<Commission>,
    },
    /// The `reference` is the caller's own id: the same one again answers the same account.
    CreateAccount {
        reference: Box<str>,
    },
    SetAccountRights {
        account: AccountId,
        rights: AccountRights,
    },
    /// Positive: custody -> account's free balance. Negative: back. The `reference` makes it idempotent.
    Credit {
        account: AccountId,
        asset: AssetId,
        amount: Amount,
        reference: Box<str>,
    },
    /// Cancels every open order of the account, on every market, whatever the market's status. In chunks when there are many.
    CancelAccountOrders {
        account: AccountId,
    },
    /// Journal time goes back to the leader's clock; nothing happens when it is not ahead of it. Feature level 2.
    SetTimeBack,
    /// Something done outside the core (an API key made or removed) that the journal must tell.
    Note {
        text: Box<str>,
    },
}

/// One thing to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Place(NewOrder),
    Cancel(CancelOrder),
    /// Every open order of the account on the market, order lists included.
    CancelAll {
        account: AccountId,
        market: MarketId,
    },
    CancelReplace {
        cancel: CancelOrder,
        new: NewOrder,
        mode: CancelReplaceMode,
    },
    PlaceOco(NewOco),
    CancelList {
        account: AccountId,
        market: MarketId,
        list: Option<OrderListId>,
        client_id: Option<ClientId>,
    },
    Admin {
        operator: Operator,
        action: AdminAction,
    },
    /// Lets journal time pass when nothing else happens.
    Tick,
}

impl Command {
    /// Frees resources: is let in when the queue has no room for more orders.
    pub const fn is_cancel(&self) -> bool {
        matches!(self, Self::Cancel(_) | Self::CancelAll { .. } | Self::CancelList { .. })
    }

    /// A bounded name for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Place(_) => "place",
            Self::Cancel(_) => "cancel",
            Self::CancelAll { .. } => "cancel_all",
            Self::CancelReplace { .. } => "cancel_replace",
            Self::PlaceOco(_) => "place_oco",
            Self::CancelList { .. } => "cancel_list",
            Self::Admin { .. } => "admin",
            Self::Tick => "tick",
        }
    }
}

/// An order after a command, with what it executed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub order: Order,
    pub fills: SmallVec<[Fill; 2]>,
}

/// An order list with its orders, as they stand after a command. Of an ended list the orders are those the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListReport {
    pub list: OrderListId,
    pub client_id: ClientId,
    pub market: MarketId,
    pub done: bool,
    /// Every order that ever was in the list, those that ended before the command included.
    pub legs: Vec<(OrderId, ClientId)>,
    pub orders: Vec<Placed>,
}

/// What was ended by a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canceled {
    Order(Box<Order>),
    /// The order was part of a list: the whole list went.
    List(ListReport),
}

/// The answer to a command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Placed(Box<Placed>),
    Canceled(Canceled),
    CanceledAll(Vec<Canceled>),
    CancelReplaced(Box<CancelReplaced>),
    List(ListReport),
    AssetCreated(AssetId),
    MarketCreated(MarketId),
    AccountCreated(AccountId),
    /// Canceled in chunks from here on; how many orders, where that is known.
    CancelQueued(Option<usize>),
    /// Markets whose status changed.
    StatusChanged(Vec<MarketId>),
    /// Done (or, with the same reference, done before).
    Done,
}

/// Both halves of a cancel-replace. `new` is `None` when it was not attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelReplaced {
    pub cancel: Result<Canceled, Refusal>,
    pub new: Option<Result<Placed, Refusal>>,
}
