//! This module defines an order and its field values, with the names of Binance Spot (enums.md). It must not match orders.

use crate::money::{Amount, Price, Quantity, Time};
use std::fmt;

/// Index of an account. 0 is the custody account (the outside world), 1 the exchange's fee account; customers start at 2.
pub type AccountId = u32;
/// Index of an asset, in order of creation.
pub type AssetId = u16;
/// Index of a market, in order of creation.
pub type MarketId = u16;
/// Unique across all markets, rising.
pub type OrderId = u64;
/// Unique across all markets, rising.
pub type OrderListId = u64;
/// Rising by one within a market.
pub type TradeId = u64;

/// A field with a closed set of values: its text on the wire and its code in the journal.
macro_rules! field_values {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $code:literal $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_meta])* $variant = $code),+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The text of the public API.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result { f.write_str(self.text()) }
        }
    };
}
pub(crate) use field_values;

field_values! { Side { Buy = 0 "BUY", Sell = 1 "SELL" } }

impl Side {
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

field_values! {
    OrderType {
        Limit = 0 "LIMIT",
        Market = 1 "MARKET",
        LimitMaker = 2 "LIMIT_MAKER",
        StopLoss = 3 "STOP_LOSS",
        StopLossLimit = 4 "STOP_LOSS_LIMIT",
        TakeProfit = 5 "TAKE_PROFIT",
        TakeProfitLimit = 6 "TAKE_PROFIT_LIMIT",
    }
}

impl OrderType {
    /// Waits for a trigger price: these types count for the MAX_NUM_ALGO_ORDERS filter.
    pub const fn is_algo(self) -> bool {
        matches!(self, Self::StopLoss | Self::StopLossLimit | Self::TakeProfit | Self::TakeProfitLimit)
    }

    /// Has a limit price.
    pub const fn has_price(self) -> bool {
        matches!(self, Self::Limit | Self::LimitMaker | Self::StopLossLimit | Self::TakeProfitLimit)
    }

    /// True when an order of this type and side is triggered by a last price at or above its stop price, false for at or below.
    pub const fn triggers_above(self, side: Side) -> bool {
        match self {
            Self::StopLoss | Self::StopLossLimit => matches!(side, Side::Buy),
            _ => matches!(side, Side::Sell),
        }
    }
}

field_values! { TimeInForce { Gtc = 0 "GTC", Ioc = 1 "IOC", Fok = 2 "FOK" } }

field_values! {
    /// Self-trade prevention: which remainder expires if the taker would trade with its own account. The taker's mode decides.
    StpMode { None = 0 "NONE", ExpireTaker = 1 "EXPIRE_TAKER", ExpireMaker = 2 "EXPIRE_MAKER", ExpireBoth = 3 "EXPIRE_BOTH",
    /// Both remainders decrease by the quantity that would have traded. Feature level 4.
    Decrement = 4 "DECREMENT" }
}

field_values! {
    OrderStatus {
        New = 0 "NEW",
        PartiallyFilled = 1 "PARTIALLY_FILLED",
        Filled = 2 "FILLED",
        Canceled = 3 "CANCELED",
        Expired = 4 "EXPIRED",
        ExpiredInMatch = 5 "EXPIRED_IN_MATCH",
        /// Accepted into a list, and placed once the list's working order is filled. Feature level 5.
        PendingNew = 6 "PENDING_NEW",
    }
}

impl OrderStatus {
    pub const fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled | Self::PendingNew)
    }
}

field_values! {
    /// Why an order expired (`expiryReason`).
    ExpiryReason {
        None = 0 "NONE",
        ExchangeCanceled = 1 "EXCHANGE_CANCELED",
        OcoTrigger = 2 "OCO_TRIGGER",
        UnfilledIocQuantity = 3 "UNFILLED_IOC_QUANTITY_EXPIRED",
        UnfilledFok = 4 "UNFILLED_FOK_ORDER_EXPIRED",
        InsufficientLiquidity = 5 "INSUFFICIENT_LIQUIDITY",
        PriceRangeExceeded = 6 "EXECUTION_RULE_PRICE_RANGE_EXCEEDED",
        /// The list's working order ended before it was filled. Feature level 5.
        OtoPhaseOneExpired = 7 "OTO_PHASE_ONE_EXPIRED",
        /// A pending order could not be placed when its turn came. Feature level 5.
        Rejected = 8 "REJECTED",
    }
}

field_values! {
    /// How the orders of a list depend on each other (`contingencyType`).
    Contingency {
        /// One of two orders may trade; the other then ends.
        Oco = 0 "OCO",
        /// A working order, and one pending order or a pending OCO pair. Feature level 5.
        Oto = 1 "OTO",
    }
}

/// Longest client order id, in bytes.
pub const CLIENT_ID_MAX: usize = 36;

/// A client order id: 1 to 36 characters of `[a-zA-Z0-9-_.:/]`, held inline.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId {
    length: u8,
    bytes: [u8; CLIENT_ID_MAX],
}

impl ClientId {
    /// Placeholder for a missing order.
    pub(crate) const NONE: Self = Self { length: 0, bytes: [0; CLIENT_ID_MAX] };

    pub fn new(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/');
        if text.is_empty() || text.len() > CLIENT_ID_MAX || !text.bytes().all(legal) {
            return None;
        }
        let mut bytes = [0; CLIENT_ID_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { length: text.len() as u8, bytes })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One order: the state's open order, and its final form in replies and projections.
///
/// Amounts are aligned to eight bytes, not sixteen: an open order with its links then fills three cache lines, and a reply needs
/// no allocation with a separate alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(8))]
pub struct Order {
    pub id: OrderId,
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
    pub kind: OrderType,
    pub time_in_force: TimeInForce,
    pub stp: StpMode,
    pub status: OrderStatus,
    pub expiry_reason: ExpiryReason,
    /// On the book, or an active taker; false while it waits for a price or for the working order of its list.
    pub working: bool,
    /// Limit price; 0 for MARKET, STOP_LOSS and TAKE_PROFIT.
    pub price: Price,
    /// 0 if the type does not have one.
    pub stop_price: Price,
    /// For a MARKET order by `quoteOrderQty`: the quantity that the walk of the book found.
    pub quantity: Quantity,
    pub executed: Quantity,
    /// Expired by self-trade prevention.
    pub prevented: Quantity,
    /// Identifies the last prevented match within the market; meaningful while `prevented > 0`.
    pub prevented_match: u64,
    /// `quoteOrderQty` as sent, else 0.
    pub quote_order_quantity: Amount,
    /// `icebergQty`: the part of the remainder that the book shows at a time. 0: the whole remainder. Feature level 6.
    pub iceberg: Quantity,
    /// Of an iceberg order on the book: the rest of the part that is shown now.
    pub shown: Quantity,
    /// `trailingDelta` in basis points; 0: not a trailing stop order. Feature level 7.
    pub trailing_delta: u32,
    /// `trailingTime`: when a trailing stop order began to track the price; 0 before.
    pub tracking_since: Time,
    pub executed_quote: Amount,
    /// The amount still locked for it: quote asset for a buy, base asset for a sell.
    pub hold: Amount,
    /// 0: not in an order list.
    pub list: OrderListId,
    pub client_id: ClientId,
    pub created: Time,
    pub updated: Time,
    /// Time at which it entered the book; 0 while it waits.
    pub working_since: Time,
}

impl Order {
    /// Quantity that can still trade.
    pub fn remaining(&self) -> Quantity {
        self.quantity - self.executed - self.prevented
    }

    /// A trailing stop order without a stop price and a limit price: nothing states what it may cost.
    pub fn has_no_price(&self) -> bool {
        !self.kind.has_price() && self.stop_price == 0
    }

    /// Quantity that a taker can match before the order's place in the queue changes.
    #[inline]
    pub fn visible(&self) -> Quantity {
        if self.iceberg == 0 { self.remaining() } else { self.shown }
    }
}

/// One prevented match in the taker's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreventedMatch {
    /// Rising by one within a market.
    pub id: u64,
    pub maker: OrderId,
    pub price: Price,
    /// 0: nothing of this order expired.
    pub taker_quantity: Quantity,
    pub maker_quantity: Quantity,
}

/// One execution in the taker's reply. Aligned as an [`Order`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(8))]
pub struct Fill {
    pub trade: TradeId,
    pub price: Price,
    pub quantity: Quantity,
    /// Paid by the order that the reply is for, in `commission_asset`.
    pub commission: Amount,
    pub commission_asset: AssetId,
}
