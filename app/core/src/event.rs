//! This module defines the events: the journal's content. It must not contain a secret or personal data.
//!
//! - Every change of state is an event with its explicit effects (fees, holds). A later version with other rules therefore
//!   replays an old journal to the same state.
//! - A released kind must not change: a new need is a new kind, with a new number.

mod encoding;

use crate::command::AccountRights;
use crate::limits::{ExchangeLimits, MarketLimits};
use crate::market::{Commission, Filters, MarketStatus};
use crate::money::{Amount, Price, Quantity, Time};
use crate::order::{
    AccountId, AssetId, ClientId, ExpiryReason, MarketId, OrderId, OrderListId, OrderStatus, OrderType, Side, StpMode,
    TimeInForce, TradeId,
};
use crate::protection::{Breaker, CancelScope, PriceRange};
use crate::refusal::Refusal;

/// An order was accepted and its hold locked. It is active immediately unless its type waits for a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPlaced {
    pub order: OrderId,
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
    pub kind: OrderType,
    pub time_in_force: TimeInForce,
    pub stp: StpMode,
    pub price: Price,
    pub stop_price: Price,
    pub quantity: Quantity,
    pub quote_order_quantity: Amount,
    /// Amount moved from free to locked: quote asset of a buy, base asset of a sell.
    pub hold: Amount,
    /// 0: not in an order list.
    pub list: OrderListId,
    pub client_id: ClientId,
    /// Matches nothing and rests on the book immediately. Otherwise it takes first, waits for its price, or is closed.
    pub rests: bool,
}

/// A trade of two orders. The quote amount is [`crate::money::notional`] of price and quantity, exact because of the filters'
/// rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    pub market: MarketId,
    pub trade: TradeId,
    /// Trades of one taker order at one price share it (`aggTrades`).
    pub aggregate: u64,
    pub taker: OrderId,
    pub maker: OrderId,
    pub price: Price,
    pub quantity: Quantity,
    /// In the asset that the taker receives: base for a buyer, quote for a seller.
    pub taker_commission: Amount,
    /// In the asset that the maker receives.
    pub maker_commission: Amount,
}

/// A trade with itself was prevented; separate events close the orders that expire by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchPrevented {
    pub market: MarketId,
    pub prevented_match: u64,
    pub taker: OrderId,
    pub maker: OrderId,
    pub price: Price,
    /// 0 unless the taker's remainder expires.
    pub taker_quantity: Quantity,
    /// 0 unless the maker's remainder expires.
    pub maker_quantity: Quantity,
}

/// A forwarded command was executed. A refused command leaves no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandExecuted {
    /// Chosen by the follower.
    pub id: u128,
    /// Events of the command, without this one.
    pub events: u32,
    /// Why the cancel of a cancel-replace was refused.
    pub cancel_refused: Option<Refusal>,
    /// Why the new order of a cancel-replace was refused.
    pub new_refused: Option<Refusal>,
}

/// A trade with itself was prevented in the mode DECREMENT: both orders lose the same quantity. Separate events close the orders
/// that have nothing left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchDecremented {
    pub prevented: MatchPrevented,
    /// Amounts moved from locked to free.
    pub taker_released: Amount,
    pub maker_released: Amount,
}

/// A placed order with properties that [`OrderPlaced`] does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedOrder {
    pub placed: OrderPlaced,
    /// Waits until the working order of its list is filled: nothing is locked for it before.
    pub pending: bool,
    /// Level 6. 0: not an iceberg order.
    pub iceberg: Quantity,
    /// Level 7. 0: not a trailing stop order.
    pub trailing_delta: u32,
}

// The large variant is the most frequent one; boxing it would cost an allocation per order.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Journal time advances; all events up to the next one have this time.
    Clock(Time),
    OrderPlaced(OrderPlaced),
    Trade(Trade),
    MatchPrevented(MatchPrevented),
    /// The order ends; the rest of its hold is free again.
    OrderClosed {
        order: OrderId,
        status: OrderStatus,
        reason: ExpiryReason,
    },
    /// A waiting order's price was reached: it is active now. `hold` is added from free (a market buy may cost more than its stop
    /// price).
    OrderTriggered {
        order: OrderId,
        hold: Amount,
        rests: bool,
    },
    /// The remainder that a taker could not trade rests on the book.
    OrderRested {
        order: OrderId,
    },
    /// Precedes the orders that name it. Ends with the last of its orders.
    ListPlaced {
        list: OrderListId,
        account: AccountId,
        market: MarketId,
        client_id: ClientId,
    },
    /// Actor and reason of the events that follow in this command.
    OperatorActed {
        actor: Box<str>,
        reason: Box<str>,
        action: Box<str>,
    },
    AssetCreated {
        asset: AssetId,
        code: Box<str>,
    },
    MarketCreated {
        market: MarketId,
        symbol: Box<str>,
        base: AssetId,
        quote: AssetId,
        filters: Box<Filters>,
        commission: Commission,
    },
    FiltersSet {
        market: MarketId,
        filters: Box<Filters>,
    },
    MarketStatusSet {
        market: MarketId,
        status: MarketStatus,
    },
    CommissionSet {
        market: MarketId,
        commission: Commission,
    },
    AccountCommissionSet {
        account: AccountId,
        commission: Option<Commission>,
    },
    AccountCreated {
        account: AccountId,
        reference: Box<str>,
    },
    AccountRightsSet {
        account: AccountId,
        rights: AccountRights,
    },
    /// Custody -> free when positive, free -> custody when negative.
    Credited {
        account: AccountId,
        asset: AssetId,
        amount: Amount,
        reference: Box<str>,
    },
    /// Written by no release; [`Event::CommandExecuted`] replaced it.
    CommandDone {
        id: u128,
    },
    /// Events of this feature level may follow; a reader of a lower level must stop here.
    FeatureLevel(u32),
    /// Level 2. Trades ran from `low` to `high`: each waiting order whose stop price they reached moves from the trigger index to
    /// the market's queue, oldest order first, and with them the trailing stop orders that the same trades triggered.
    StopsReached {
        market: MarketId,
        low: Price,
        high: Price,
    },
    /// Level 2. Cancels of the scope's open orders up to order `through` follow in chunks.
    CancelAllBegun {
        scope: CancelScope,
        through: OrderId,
    },
    /// Level 2. The scope has no such order left.
    CancelAllDone {
        scope: CancelScope,
    },
    /// Level 2. `None`: the market has no PRICE_RANGE rule.
    PriceRangeSet {
        market: MarketId,
        rule: Option<PriceRange>,
    },
    /// Level 2. The market's reference price until its first trade; 0: none.
    ReferencePriceSet {
        market: MarketId,
        price: Price,
    },
    /// Level 2. `None`: the market has no circuit breaker.
    BreakerSet {
        market: MarketId,
        breaker: Option<Breaker>,
    },
    /// Level 2. The circuit breaker tripped: CANCEL_ONLY until this time; 0: until an operator resumes the market.
    MarketPaused {
        market: MarketId,
        until: Time,
    },
    /// Level 2. Journal time goes back, by an operator's command, after a leader's clock ran ahead. Earlier events retain their
    /// time.
    TimeSetBack(Time),
    /// Level 4. The quantity of an open order decreased, and it retains its place in the queue. Precedes the same change of the other
    /// orders of its OCO pair.
    OrderAmended {
        order: OrderId,
        quantity: Quantity,
        /// After the amendment.
        client_id: ClientId,
        /// Amount moved from locked to free.
        released: Amount,
    },
    /// Level 4.
    MatchDecremented(MatchDecremented),
    /// Level 5.
    ExtendedOrderPlaced(Box<ExtendedOrder>),
    /// Level 5. As [`Event::ListPlaced`], for a working order and the orders that wait for it. When the working order is filled, its
    /// pending orders move to the market's queue.
    OtoPlaced {
        list: OrderListId,
        account: AccountId,
        market: MarketId,
        client_id: ClientId,
    },
    /// Level 5. The turn of a pending order in the queue: it rests, takes, or waits for its price. `hold` moves from free to locked.
    PendingActivated {
        order: OrderId,
        hold: Amount,
        rests: bool,
    },
    /// Level 5; level 6 or 7 if it sets a filter of that level.
    MarketLimitsSet {
        market: MarketId,
        limits: MarketLimits,
    },
    /// Level 5; level 6 if it sets a filter of that level.
    ExchangeLimitsSet(ExchangeLimits),
    /// Level 3. The last event of a command that a follower forwarded. The follower rebuilds the command's answer from the events
    /// before it.
    CommandExecuted(CommandExecuted),
}

/// Newest level that this release reads and writes. A higher [`Event::FeatureLevel`] is refused on reading.
///
/// - 1: kinds 1 to 20.
/// - 2: kinds 21 to 39, the market status BREAK, the expiry reason EXECUTION_RULE_PRICE_RANGE_EXCEEDED.
/// - 3: kind 40. Followers forward commands.
/// - 4: kinds 41 and 42, the self-trade prevention mode DECREMENT. Orders can be amended.
/// - 5: kinds 43 to 47, the expiry reasons OTO_PHASE_ONE_EXPIRED and REJECTED. Lists of the types OTO and OTOCO, filters of positions and
///   of counts over all markets.
/// - 6: kinds 48 and 49, iceberg orders and their filters, the number of amendments per market.
/// - 7: kind 50, trailing stop orders and their filter.
pub const FEATURE_LEVEL: u32 = 7;
/// The level from which followers forward commands.
pub const FORWARDING_LEVEL: u32 = 3;
/// The level from which orders can be amended.
pub const AMENDMENT_LEVEL: u32 = 4;
/// The level from which orders may have the self-trade prevention mode DECREMENT.
pub const DECREMENT_LEVEL: u32 = 4;
/// The level from which an order list may have pending orders.
pub const OTO_LEVEL: u32 = 5;
/// The level from which an operator may set filters of positions, order lists and all markets.
pub const LIMITS_LEVEL: u32 = 5;
/// The level from which an order may be an iceberg order.
pub const ICEBERG_LEVEL: u32 = 6;
/// The level from which an order may be a trailing stop order.
pub const TRAILING_LEVEL: u32 = 7;
/// Level of a journal that does not state one.
pub const FIRST_FEATURE_LEVEL: u32 = 1;

impl Event {
    /// The order that this event places.
    #[inline]
    pub fn placed(&self) -> Option<&OrderPlaced> {
        match self {
            Self::OrderPlaced(placed) => Some(placed),
            Self::ExtendedOrderPlaced(order) => Some(&order.placed),
            _ => None,
        }
    }

    /// The order list that this event begins.
    pub const fn placed_list(&self) -> Option<OrderListId> {
        match self {
            Self::ListPlaced { list, .. } | Self::OtoPlaced { list, .. } => Some(*list),
            _ => None,
        }
    }

    /// The feature level that a reader needs for this event.
    pub fn level(&self) -> u32 {
        match self {
            Self::FeatureLevel(level) => *level,
            Self::ExtendedOrderPlaced(order) if order.trailing_delta > 0 => 7,
            Self::ExtendedOrderPlaced(order) if order.iceberg > 0 => 6,
            Self::MarketLimitsSet { limits, .. } => limits.level(),
            Self::ExchangeLimitsSet(limits) => limits.level(),
            Self::ExtendedOrderPlaced(_)
            | Self::OtoPlaced { .. }
            | Self::PendingActivated { .. }
            | Self::OrderClosed { reason: ExpiryReason::OtoPhaseOneExpired | ExpiryReason::Rejected, .. } => 5,
            Self::OrderAmended { .. }
            | Self::MatchDecremented(_)
            | Self::OrderPlaced(OrderPlaced { stp: StpMode::Decrement, .. }) => 4,
            Self::CommandExecuted(_) => 3,
            Self::StopsReached { .. }
            | Self::CancelAllBegun { .. }
            | Self::CancelAllDone { .. }
            | Self::PriceRangeSet { .. }
            | Self::ReferencePriceSet { .. }
            | Self::BreakerSet { .. }
            | Self::MarketPaused { .. }
            | Self::TimeSetBack(_)
            | Self::MarketStatusSet { status: MarketStatus::Break, .. }
            | Self::OrderClosed { reason: ExpiryReason::PriceRangeExceeded, .. } => 2,
            _ => FIRST_FEATURE_LEVEL,
        }
    }
}
