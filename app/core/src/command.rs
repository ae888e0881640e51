//! This module defines the commands of the exchange and their answers. It must not decide them.

use crate::limits::{ExchangeLimits, MarketLimits};
use crate::market::{Commission, Filters, MarketStatus};
use crate::money::{Amount, Price, Quantity};
use crate::order::{
    AccountId, AssetId, ClientId, Contingency, Fill, MarketId, Order, OrderId, OrderListId, OrderType, PreventedMatch, Side,
    StpMode, TimeInForce,
};
use crate::protection::{Breaker, PriceRange};
use crate::refusal::Refusal;
use smallvec::SmallVec;

/// A new order after syntax checks, before the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
    pub kind: OrderType,
    /// GTC for types without a time in force.
    pub time_in_force: TimeInForce,
    pub stp: StpMode,
    /// 0 if the type does not have it.
    pub price: Price,
    /// 0 if the type does not have it.
    pub stop_price: Price,
    /// 0 for a MARKET order by `quote_order_quantity`.
    pub quantity: Quantity,
    /// 0 unless a MARKET order specifies the quote amount to spend or receive.
    pub quote_order_quantity: Amount,
    /// 0: not an iceberg order. Feature level 6.
    pub iceberg: Quantity,
    /// In basis points; 0: not a trailing stop order, and else the stop price may be 0. Feature level 7.
    pub trailing_delta: u32,
    pub client_id: ClientId,
}

/// Identifies the order of a cancel: by id, by client id, or by id with the client id as a check.
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

/// Reduces the quantity of an open order, which retains its place in the queue. Feature level 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmendOrder {
    pub account: AccountId,
    pub market: MarketId,
    pub order: Option<OrderId>,
    /// Client id before the amendment.
    pub client_id: Option<ClientId>,
    /// Client id after the amendment; it may be the current one.
    pub new_client_id: ClientId,
    /// The order's whole quantity after the amendment.
    pub quantity: Quantity,
}

/// One leg of an OCO pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcoLeg {
    pub kind: OrderType,
    pub price: Price,
    pub stop_price: Price,
    pub time_in_force: TimeInForce,
    /// 0: not an iceberg order. Feature level 6.
    pub iceberg: Quantity,
    /// In basis points; 0: not a trailing stop order. Feature level 7.
    pub trailing_delta: u32,
    pub client_id: ClientId,
}

/// The properties of an order that need feature level 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extras {
    pub iceberg: Quantity,
    pub trailing_delta: u32,
}

/// One-cancels-the-other. The caller checks types (-1158 ... -1199), the decision checks prices.
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

/// One-triggers-the-other: a working order, and orders that are placed once it is filled. All are of one account and market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOto {
    pub list_client_id: ClientId,
    pub working: NewOrder,
    pub pending: PendingOrders,
}

/// What an OTO list places when its working order is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingOrders {
    /// OTO.
    One(NewOrder),
    /// OTOCO: an OCO pair of the same side and quantity.
    Pair { above: NewOrder, below: NewOrder },
}

impl PendingOrders {
    /// In order of placement.
    pub fn orders(&self) -> SmallVec<[&NewOrder; 2]> {
        match self {
            Self::One(order) => SmallVec::from_slice(&[order]),
            Self::Pair { above, below } => SmallVec::from_slice(&[above, below]),
        }
    }
}

/// Rights of an account; all true initially.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRights {
    pub trade: bool,
    pub withdraw: bool,
    pub deposit: bool,
}

/// Actor and reason of an operator's action; journalled with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub actor: Box<str>,
    pub reason: Box<str>,
}

/// Actions for operators only.
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
    /// The status of every market that is not delisted, except those in `except`. One command halts the exchange.
    SetEveryMarketStatus {
        status: MarketStatus,
        except: Vec<MarketId>,
    },
    /// Cancels every open order of a market that is not trading, in chunks. Feature level 2.
    CancelMarketOrders {
        market: MarketId,
    },
    /// Delists a market permanently: sets BREAK and cancels every open order in chunks. Feature level 2.
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
    /// Permits events of this level. An earlier release cannot read them, and the level never decreases.
    SetFeatureLevel {
        level: u32,
    },
    /// Filters of positions, order lists, iceberg orders and amendments of one market. Feature level 5; of iceberg orders and
    /// amendments 6.
    SetMarketLimits {
        market: MarketId,
        limits: MarketLimits,
    },
    /// Filters of one account over all markets. Feature level 5.
    SetExchangeLimits {
        limits: ExchangeLimits,
    },
    SetCommission {
        market: MarketId,
        commission: Commission,
    },
    /// Rates of one account on every market; `None` restores the rates of each market.
    SetAccountCommission {
        account: AccountId,
        commission: Option<Commission>,
    },
    /// The `reference` is the caller's own id: repeating it returns the same account.
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
    /// Cancels every open order of the account on every market, regardless of the market's status. In chunks if there are many.
    CancelAccountOrders {
        account: AccountId,
    },
    /// Sets journal time back to the leader's clock; no effect if it is not ahead of it. Feature level 2.
    SetTimeBack,
    /// An action outside the core (an API key created or revoked) that the journal must record.
    Note {
        text: Box<str>,
    },
}

/// One command to decide.
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
    /// Feature level 5.
    PlaceOto(Box<NewOto>),
    Amend(AmendOrder),
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
    /// Advances journal time while the exchange is idle.
    Tick,
}

impl Command {
    /// Frees resources: accepted even if the queue has no space for more orders.
    pub const fn is_cancel(&self) -> bool {
        matches!(self, Self::Cancel(_) | Self::CancelAll { .. } | Self::CancelList { .. })
    }

    /// The account and the number of orders that the command may place; `None`: none.
    pub const fn places(&self) -> Option<(AccountId, u32)> {
        match self {
            Self::Place(new) | Self::CancelReplace { new, .. } => Some((new.account, 1)),
            Self::PlaceOco(new) => Some((new.account, 2)),
            Self::PlaceOto(new) => Some((new.working.account, if matches!(new.pending, PendingOrders::One(_)) { 2 } else { 3 })),
            _ => None,
        }
    }

    /// The market on which the command may place orders.
    pub const fn places_on(&self) -> Option<MarketId> {
        match self {
            Self::Place(new) | Self::CancelReplace { new, .. } => Some(new.market),
            Self::PlaceOco(new) => Some(new.market),
            Self::PlaceOto(new) => Some(new.working.market),
            _ => None,
        }
    }

    /// The extras of each order that the command may place, in a fixed order.
    pub fn extras(&self) -> SmallVec<[Extras; 3]> {
        let of = |order: &NewOrder| Extras { iceberg: order.iceberg, trailing_delta: order.trailing_delta };
        let of_leg = |leg: &OcoLeg| Extras { iceberg: leg.iceberg, trailing_delta: leg.trailing_delta };
        match self {
            Self::Place(new) | Self::CancelReplace { new, .. } => SmallVec::from_iter([of(new)]),
            Self::PlaceOco(new) => [&new.above, &new.below].into_iter().map(of_leg).collect(),
            Self::PlaceOto(new) => std::iter::once(&new.working).chain(new.pending.orders()).map(of).collect(),
            _ => SmallVec::new(),
        }
    }

    /// Sets what [`Self::extras`] returns. False: the command places another number of orders.
    pub fn set_extras(&mut self, extras: &[Extras]) -> bool {
        let set = |order: &mut NewOrder, extras: &Extras| {
            (order.iceberg, order.trailing_delta) = (extras.iceberg, extras.trailing_delta);
        };
        let set_leg = |leg: &mut OcoLeg, extras: &Extras| {
            (leg.iceberg, leg.trailing_delta) = (extras.iceberg, extras.trailing_delta);
        };
        match (self, extras) {
            (Self::Place(new) | Self::CancelReplace { new, .. }, [one]) => set(new, one),
            (Self::PlaceOco(new), [above, below]) => {
                set_leg(&mut new.above, above);
                set_leg(&mut new.below, below);
            }
            (Self::PlaceOto(new), [working, pending @ ..]) => {
                set(&mut new.working, working);
                match (&mut new.pending, pending) {
                    (PendingOrders::One(order), [one]) => set(order, one),
                    (PendingOrders::Pair { above, below }, [one, other]) => {
                        set(above, one);
                        set(below, other);
                    }
                    _ => return false,
                }
            }
            (_, extras) => return extras.is_empty(),
        }
        true
    }

    /// A name from a bounded set, for metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Place(_) => "place",
            Self::Cancel(_) => "cancel",
            Self::CancelAll { .. } => "cancel_all",
            Self::CancelReplace { .. } => "cancel_replace",
            Self::PlaceOco(_) => "place_oco",
            Self::PlaceOto(_) => "place_oto",
            Self::CancelList { .. } => "cancel_list",
            Self::Amend(_) => "amend",
            Self::Admin { .. } => "admin",
            Self::Tick => "tick",
        }
    }
}

/// An order after a command, with its executions in that command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub order: Order,
    pub fills: SmallVec<[Fill; 2]>,
    /// Matches of the order as a taker that self-trade prevention prevented.
    pub prevented: Vec<PreventedMatch>,
}

impl Placed {
    /// An order that took nothing.
    pub fn quiet(order: Order) -> Self {
        Self { order, fills: SmallVec::new(), prevented: Vec::new() }
    }
}

/// An order list with its orders after a command. Of an ended list, these are the orders that the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListReport {
    pub list: OrderListId,
    pub client_id: ClientId,
    pub market: MarketId,
    pub contingency: Contingency,
    pub done: bool,
    /// Every order that was ever in the list, including orders that ended before the command.
    pub legs: Vec<(OrderId, ClientId)>,
    pub orders: Vec<Placed>,
}

/// The result of a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canceled {
    Order(Box<Order>),
    /// The order belonged to a list: the whole list is canceled.
    List(ListReport),
}

/// The answer to an accepted command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Placed(Box<Placed>),
    Canceled(Canceled),
    CanceledAll(Vec<Canceled>),
    CancelReplaced(Box<CancelReplaced>),
    List(ListReport),
    Amended(Box<Amended>),
    AssetCreated(AssetId),
    MarketCreated(MarketId),
    AccountCreated(AccountId),
    /// Cancels follow in chunks; the number of orders if known.
    CancelQueued(Option<usize>),
    /// Markets whose status changed.
    StatusChanged(Vec<MarketId>),
    /// Done now, or earlier with the same reference.
    Done,
}

/// An order after its amendment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amended {
    /// Sequence of the event: identifies the amendment.
    pub execution: u64,
    pub order: Order,
    pub original_client_id: ClientId,
    /// The order's list without reports of its orders.
    pub list: Option<ListReport>,
}

/// Both halves of a cancel-replace. `new` is `None` if it was not attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelReplaced {
    pub cancel: Result<Canceled, Refusal>,
    pub new: Option<Result<Placed, Refusal>>,
}
