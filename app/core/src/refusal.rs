//! This module lists the reasons to refuse a command, each with Binance's code and text (errors.md). It must not contain syntax
//! errors, which the edge detects before a command exists.
//!
//! Clients match the text byte for byte, so a text here is an interface.

use std::fmt;

/// A filter. The journal stores its position here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    Price,
    LotSize,
    MarketLotSize,
    PercentPriceBySide,
    Notional,
    MaxNumOrders,
    MaxNumAlgoOrders,
    /// Checked by an amendment only.
    MaxNumOrderAmends,
    MaxPosition,
    MaxNumOrderLists,
    ExchangeMaxNumOrders,
    ExchangeMaxNumAlgoOrders,
    ExchangeMaxNumOrderLists,
    IcebergParts,
    MaxNumIcebergOrders,
    ExchangeMaxNumIcebergOrders,
    TrailingDelta,
}

impl Filter {
    pub const fn text(self) -> &'static str {
        match self {
            Self::Price => "PRICE_FILTER",
            Self::LotSize => "LOT_SIZE",
            Self::MarketLotSize => "MARKET_LOT_SIZE",
            Self::PercentPriceBySide => "PERCENT_PRICE_BY_SIDE",
            Self::Notional => "NOTIONAL",
            Self::MaxNumOrders => "MAX_NUM_ORDERS",
            Self::MaxNumAlgoOrders => "MAX_NUM_ALGO_ORDERS",
            Self::MaxPosition => "MAX_POSITION",
            Self::MaxNumOrderLists => "MAX_NUM_ORDER_LISTS",
            Self::ExchangeMaxNumOrders => "EXCHANGE_MAX_NUM_ORDERS",
            Self::ExchangeMaxNumAlgoOrders => "EXCHANGE_MAX_NUM_ALGO_ORDERS",
            Self::ExchangeMaxNumOrderLists => "EXCHANGE_MAX_NUM_ORDER_LISTS",
            Self::MaxNumOrderAmends => "MAX_NUM_ORDER_AMENDS",
            Self::IcebergParts => "ICEBERG_PARTS",
            Self::TrailingDelta => "TRAILING_DELTA",
            Self::MaxNumIcebergOrders => "MAX_NUM_ICEBERG_ORDERS",
            Self::ExchangeMaxNumIcebergOrders => "EXCHANGE_MAX_NUM_ICEBERG_ORDERS",
        }
    }
}

/// Why a command was refused; a refused command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refusal {
    UnknownSymbol,
    UnknownAccount,
    UnknownAsset,
    /// The market is halted, or accepts cancels only.
    MarketClosed,
    /// The account may not trade.
    AccountDisabled,
    Filter(Filter),
    InsufficientBalance,
    DuplicateClientOrderId,
    /// LIMIT_MAKER that would match.
    WouldTakeLiquidity,
    /// A stop on the wrong side of the last price.
    WouldTriggerImmediately,
    /// OCO prices out of order.
    PriceRelationship,
    UnknownOrder,
    /// The id is right, but the client id belongs to another order.
    ClientOrderIdMismatch,
    CancelRestricted,
    /// MARKET by quoteOrderQty with an empty opposite side.
    EmptyBook,
    /// MARKET by quoteOrderQty that buys or sells less than the smallest lot.
    LiquidityBelowLotSize,
    /// The same against the smallest lot of market orders.
    LiquidityBelowMarketLotSize,
    /// `price` x `quantity` rounds to nothing.
    ZeroNotional,
    UnsupportedCombination,
    /// A total would exceed the range of its number.
    Overflow,
    /// The feature level does not have DECREMENT yet.
    StpNotAllowed,
    /// The feature level does not have amendments yet.
    AmendNotSupported,
    AmendIncreases,
    /// The amended quantity is the current one.
    AmendChangesNothing,
    /// Nothing of the amended order could trade.
    AmendBelowExecuted,
    /// The feature level does not have lists with pending orders yet.
    OtoNotSupported,
    /// The feature level does not have iceberg orders yet.
    IcebergNotSupported,
    /// `icebergQty` is not less than `quantity`.
    IcebergExceedsQuantity,
    /// The feature level does not have trailing stop orders yet.
    TrailingNotSupported,
    /// An operator's request that is invalid; the text names the field and the remedy.
    Invalid(Box<str>),
}

impl Refusal {
    /// Binance's error code.
    pub const fn code(&self) -> i32 {
        match self {
            Self::UnknownSymbol => -1121,
            Self::Filter(_) | Self::MarketClosed | Self::ZeroNotional | Self::StpNotAllowed => -1013,
            Self::UnknownOrder | Self::CancelRestricted => -2011,
            Self::ClientOrderIdMismatch => -2039,
            Self::UnsupportedCombination => -1014,
            Self::Overflow => -1108,
            Self::AmendNotSupported | Self::AmendIncreases | Self::AmendChangesNothing | Self::AmendBelowExecuted => -2038,
            Self::Invalid(_) | Self::UnknownAsset | Self::UnknownAccount => -1130,
            _ => -2010,
        }
    }
}

impl fmt::Display for Refusal {
    /// Binance's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownSymbol => "Invalid symbol.",
            Self::UnknownAccount => "Data sent for parameter 'account' is not valid.",
            Self::UnknownAsset => "Data sent for parameter 'asset' is not valid.",
            Self::MarketClosed => "Market is closed.",
            Self::AccountDisabled => "This account may not place or cancel orders.",
            Self::Filter(filter) => return write!(f, "Filter failure: {}", filter.text()),
            Self::InsufficientBalance => "Account has insufficient balance for requested action.",
            Self::DuplicateClientOrderId => "Duplicate order sent.",
            Self::WouldTakeLiquidity => "Order would immediately match and take.",
            Self::WouldTriggerImmediately => "Order would trigger immediately.",
            Self::PriceRelationship => "The relationship of the prices for the orders is not correct.",
            Self::UnknownOrder => "Unknown order sent.",
            Self::ClientOrderIdMismatch => "Client order ID is not correct for this order ID.",
            Self::CancelRestricted => "Order was not canceled due to cancel restrictions.",
            Self::EmptyBook => "Order book liquidity is less than symbol minimum quantity.",
            Self::LiquidityBelowLotSize => "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.",
            Self::LiquidityBelowMarketLotSize => "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.",
            Self::ZeroNotional => "Price * QTY is zero or less.",
            Self::UnsupportedCombination => "Unsupported order combination.",
            Self::Overflow => "Parameter 'quantity' overflowed.",
            Self::StpNotAllowed => "This symbol does not allow the specified self-trade prevention mode.",
            Self::AmendNotSupported => "Order amend is not supported for this symbol.",
            Self::AmendIncreases => "Order amend (quantity increase) is not supported.",
            Self::AmendChangesNothing => "The requested action would change no state; rejecting",
            Self::AmendBelowExecuted => "Order amend (quantity not above the executed quantity) is not supported.",
            Self::OtoNotSupported => "OTO orders are not supported for this symbol.",
            Self::IcebergNotSupported => "Iceberg orders are not supported for this symbol.",
            Self::IcebergExceedsQuantity => "IcebergQty exceeds QTY.",
            Self::TrailingNotSupported => "Trailing stop orders are not supported for this symbol.",
            Self::Invalid(text) => text,
        })
    }
}

impl std::error::Error for Refusal {}
