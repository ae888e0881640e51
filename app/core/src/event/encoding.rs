//! This module is the binary form of events. It must not define an event.
//!
//! - An event is its kind, then its fields in the order of declaration.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Fixed, Sink};
use crate::command::AccountRights;
use crate::fields::{
    client_id, decode_commission_option, decode_refusal_option, encode_commission_option, encode_refusal_option,
};
use crate::limits::{ExchangeLimits, MarketLimits};
use crate::market::{Commission, Filters, MarketStatus};
use crate::order::{ExpiryReason, OrderStatus, OrderType, Side, StpMode, TimeInForce};
use crate::protection::{Breaker, CancelScope, PriceRange};

use super::{
    CommandExecuted, Event, ExtendedOrder, FEATURE_LEVEL, ICEBERG_LEVEL, LIMITS_LEVEL, MatchDecremented, MatchPrevented,
    OrderPlaced, TRAILING_LEVEL, Trade,
};

mod kind {
    pub const CLOCK: u8 = 1;
    pub const ORDER_PLACED: u8 = 2;
    pub const TRADE: u8 = 3;
    pub const MATCH_PREVENTED: u8 = 4;
    pub const ORDER_CLOSED: u8 = 5;
    pub const ORDER_TRIGGERED: u8 = 6;
    pub const LIST_PLACED: u8 = 7;
    pub const OPERATOR_ACTED: u8 = 8;
    pub const ASSET_CREATED: u8 = 9;
    pub const MARKET_CREATED: u8 = 10;
    pub const FILTERS_SET: u8 = 11;
    pub const MARKET_STATUS_SET: u8 = 12;
    pub const COMMISSION_SET: u8 = 13;
    pub const ACCOUNT_COMMISSION_SET: u8 = 14;
    pub const ACCOUNT_CREATED: u8 = 15;
    pub const ACCOUNT_RIGHTS_SET: u8 = 16;
    pub const CREDITED: u8 = 17;
    pub const COMMAND_DONE: u8 = 18;
    pub const FEATURE_LEVEL: u8 = 19;
    pub const ORDER_RESTED: u8 = 20;
    pub const STOPS_REACHED: u8 = 21;
    pub const CANCEL_ALL_BEGUN: u8 = 22;
    pub const CANCEL_ALL_DONE: u8 = 23;
    pub const PRICE_RANGE_SET: u8 = 24;
    pub const REFERENCE_PRICE_SET: u8 = 25;
    pub const BREAKER_SET: u8 = 26;
    pub const MARKET_PAUSED: u8 = 27;
    pub const TIME_SET_BACK: u8 = 30;
    pub const COMMAND_EXECUTED: u8 = 40;
    pub const ORDER_AMENDED: u8 = 41;
    pub const MATCH_DECREMENTED: u8 = 42;
    pub const EXTENDED_ORDER_PLACED: u8 = 43;
    pub const OTO_PLACED: u8 = 44;
    pub const PENDING_ACTIVATED: u8 = 45;
    pub const MARKET_LIMITS_SET: u8 = 46;
    pub const EXCHANGE_LIMITS_SET: u8 = 47;
    /// From feature level 6 on: as 46 and 47, with the filters of that level.
    pub const MARKET_LIMITS_OF_LEVEL_6_SET: u8 = 48;
    pub const EXCHANGE_LIMITS_OF_LEVEL_6_SET: u8 = 49;
    /// From feature level 7 on: as 48, with the filter of that level.
    pub const MARKET_LIMITS_OF_LEVEL_7_SET: u8 = 50;
}

/// Bits of an extended order.
mod extended {
    pub const PENDING: u8 = 1;
    /// From feature level 6 on. The quantity follows the order.
    pub const ICEBERG: u8 = 2;
    /// From feature level 7 on. The delta is last.
    pub const TRAILING: u8 = 4;
    pub const ALL: u8 = PENDING | ICEBERG | TRAILING;
}

fn market_limits(level: u32, r: &mut ByteDecoder<'_>) -> Result<Event, DecodeError> {
    Ok(Event::MarketLimitsSet { market: r.u16()?, limits: MarketLimits::decode(level, r)? })
}

impl Event {
    /// Appends the event's bytes: kind, then its fields in the order of declaration.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            // The most frequent event by far, and of bounded size.
            Self::OrderPlaced(e) => {
                let mut bytes = Fixed::new();
                e.encode(&mut ByteEncoder(&mut bytes));
                out.extend_from_slice(bytes.written());
            }
            Self::Trade(e) => {
                let mut bytes = Fixed::new();
                e.encode(&mut ByteEncoder(&mut bytes));
                out.extend_from_slice(bytes.written());
            }
            _ => self.encode_others(&mut ByteEncoder(out)),
        }
    }

    fn encode_others(&self, w: &mut ByteEncoder<impl Sink>) {
        match self {
            Self::OrderPlaced(e) => e.encode(w),
            Self::Trade(e) => e.encode(w),
            Self::Clock(time) => {
                w.u8(kind::CLOCK);
                w.i64(*time);
            }
            Self::MatchPrevented(e) => {
                w.u8(kind::MATCH_PREVENTED);
                e.encode(w);
            }
            Self::MatchDecremented(e) => {
                w.u8(kind::MATCH_DECREMENTED);
                e.prevented.encode(w);
                w.amount(e.taker_released);
                w.amount(e.maker_released);
            }
            Self::OrderClosed { order, status, reason } => {
                w.u8(kind::ORDER_CLOSED);
                w.u64(*order);
                w.u8(*status as u8);
                w.u8(*reason as u8);
            }
            Self::OrderTriggered { order, hold, rests } => {
                w.u8(kind::ORDER_TRIGGERED);
                w.u64(*order);
                w.amount(*hold);
                w.bool(*rests);
            }
            Self::OrderRested { order } => {
                w.u8(kind::ORDER_RESTED);
                w.u64(*order);
            }
            Self::ListPlaced { list, account, market, client_id } => {
                w.u8(kind::LIST_PLACED);
                w.u64(*list);
                w.u64((*account).into());
                w.u64((*market).into());
                w.bytes(client_id.as_bytes());
            }
            Self::ExtendedOrderPlaced(e) => {
                w.u8(kind::EXTENDED_ORDER_PLACED);
                let pending = if e.pending { extended::PENDING } else { 0 };
                let iceberg = if e.iceberg > 0 { extended::ICEBERG } else { 0 };
                w.u8(pending | iceberg | if e.trailing_delta > 0 { extended::TRAILING } else { 0 });
                e.placed.encode_fields(w);
                if e.iceberg > 0 {
                    w.i64(e.iceberg);
                }
                if e.trailing_delta > 0 {
                    w.u64(e.trailing_delta.into());
                }
            }
            Self::OtoPlaced { list, account, market, client_id } => {
                w.u8(kind::OTO_PLACED);
                w.u64(*list);
                w.u64((*account).into());
                w.u64((*market).into());
                w.bytes(client_id.as_bytes());
            }
            Self::PendingActivated { order, hold, rests } => {
                w.u8(kind::PENDING_ACTIVATED);
                w.u64(*order);
                w.amount(*hold);
                w.bool(*rests);
            }
            Self::MarketLimitsSet { market, limits } => {
                let level = limits.level();
                w.u8(match level {
                    ..=LIMITS_LEVEL => kind::MARKET_LIMITS_SET,
                    ICEBERG_LEVEL => kind::MARKET_LIMITS_OF_LEVEL_6_SET,
                    _ => kind::MARKET_LIMITS_OF_LEVEL_7_SET,
                });
                w.u64((*market).into());
                limits.encode(level, w);
            }
            Self::ExchangeLimitsSet(limits) => {
                let level = limits.level();
                let newer = level >= ICEBERG_LEVEL;
                w.u8(if newer { kind::EXCHANGE_LIMITS_OF_LEVEL_6_SET } else { kind::EXCHANGE_LIMITS_SET });
                limits.encode(level, w);
            }
            Self::OperatorActed { actor, reason, action } => {
                w.u8(kind::OPERATOR_ACTED);
                w.text(actor);
                w.text(reason);
                w.text(action);
            }
            Self::AssetCreated { asset, code } => {
                w.u8(kind::ASSET_CREATED);
                w.u64((*asset).into());
                w.text(code);
            }
            Self::MarketCreated { market, symbol, base, quote, filters, commission } => {
                w.u8(kind::MARKET_CREATED);
                w.u64((*market).into());
                w.text(symbol);
                w.u64((*base).into());
                w.u64((*quote).into());
                filters.encode(w);
                commission.encode(w);
            }
            Self::FiltersSet { market, filters } => {
                w.u8(kind::FILTERS_SET);
                w.u64((*market).into());
                filters.encode(w);
            }
            Self::MarketStatusSet { market, status } => {
                w.u8(kind::MARKET_STATUS_SET);
                w.u64((*market).into());
                w.u8(*status as u8);
            }
            Self::CommissionSet { market, commission } => {
                w.u8(kind::COMMISSION_SET);
                w.u64((*market).into());
                commission.encode(w);
            }
            Self::AccountCommissionSet { account, commission } => {
                w.u8(kind::ACCOUNT_COMMISSION_SET);
                w.u64((*account).into());
                encode_commission_option(commission.as_ref(), w);
            }
            Self::AccountCreated { account, reference } => {
                w.u8(kind::ACCOUNT_CREATED);
                w.u64((*account).into());
                w.text(reference);
            }
            Self::AccountRightsSet { account, rights } => {
                w.u8(kind::ACCOUNT_RIGHTS_SET);
                w.u64((*account).into());
                rights.encode(w);
            }
            Self::Credited { account, asset, amount, reference } => {
                w.u8(kind::CREDITED);
                w.u64((*account).into());
                w.u64((*asset).into());
                w.amount(*amount);
                w.text(reference);
            }
            Self::CommandDone { id } => {
                w.u8(kind::COMMAND_DONE);
                w.u128(*id);
            }
            Self::FeatureLevel(level) => {
                w.u8(kind::FEATURE_LEVEL);
                w.u64((*level).into());
            }
            Self::StopsReached { market, low, high } => {
                w.u8(kind::STOPS_REACHED);
                w.u64((*market).into());
                w.i64(*low);
                w.i64(*high);
            }
            Self::CancelAllBegun { scope, through } => {
                w.u8(kind::CANCEL_ALL_BEGUN);
                scope.encode(w);
                w.u64(*through);
            }
            Self::CancelAllDone { scope } => {
                w.u8(kind::CANCEL_ALL_DONE);
                scope.encode(w);
            }
            Self::PriceRangeSet { market, rule } => {
                w.u8(kind::PRICE_RANGE_SET);
                w.u64((*market).into());
                w.bool(rule.is_some());
                rule.iter().for_each(|rule| rule.encode(w));
            }
            Self::ReferencePriceSet { market, price } => {
                w.u8(kind::REFERENCE_PRICE_SET);
                w.u64((*market).into());
                w.i64(*price);
            }
            Self::BreakerSet { market, breaker } => {
                w.u8(kind::BREAKER_SET);
                w.u64((*market).into());
                w.bool(breaker.is_some());
                breaker.iter().for_each(|breaker| breaker.encode(w));
            }
            Self::TimeSetBack(time) => {
                w.u8(kind::TIME_SET_BACK);
                w.i64(*time);
            }
            Self::MarketPaused { market, until } => {
                w.u8(kind::MARKET_PAUSED);
                w.u64((*market).into());
                w.i64(*until);
            }
            Self::OrderAmended { order, quantity, client_id, released } => {
                w.u8(kind::ORDER_AMENDED);
                w.u64(*order);
                w.i64(*quantity);
                w.bytes(client_id.as_bytes());
                w.amount(*released);
            }
            Self::CommandExecuted(e) => {
                w.u8(kind::COMMAND_EXECUTED);
                w.u128(e.id);
                w.small(e.events.into());
                encode_refusal_option(e.cancel_refused.as_ref(), w);
                encode_refusal_option(e.new_refused.as_ref(), w);
            }
        }
    }

    /// Reads one event. An unknown kind or a higher feature level is an error: skipping an event would fork the state.
    pub fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8()? {
            kind::CLOCK => Self::Clock(r.i64()?),
            kind::ORDER_PLACED => Self::OrderPlaced(OrderPlaced::decode_fields(r)?),
            kind::TRADE => Self::Trade(Trade {
                market: r.u16()?,
                trade: r.u64()?,
                aggregate: r.u64()?,
                taker: r.u64()?,
                maker: r.u64()?,
                price: r.i64()?,
                quantity: r.i64()?,
                taker_commission: r.amount()?,
                maker_commission: r.amount()?,
            }),
            kind::MATCH_PREVENTED => Self::MatchPrevented(MatchPrevented::decode(r)?),
            kind::ORDER_CLOSED => Self::OrderClosed {
                order: r.u64()?,
                status: OrderStatus::from_code(r.u8()?).ok_or(r.error("an order status"))?,
                reason: ExpiryReason::from_code(r.u8()?).ok_or(r.error("an expiry reason"))?,
            },
            kind::ORDER_TRIGGERED => Self::OrderTriggered { order: r.u64()?, hold: r.amount()?, rests: r.bool()? },
            kind::ORDER_RESTED => Self::OrderRested { order: r.u64()? },
            kind::LIST_PLACED => {
                Self::ListPlaced { list: r.u64()?, account: r.u32()?, market: r.u16()?, client_id: client_id(r)? }
            }
            kind::OPERATOR_ACTED => {
                Self::OperatorActed { actor: r.text()?.into(), reason: r.text()?.into(), action: r.text()?.into() }
            }
            kind::ASSET_CREATED => Self::AssetCreated { asset: r.u16()?, code: r.text()?.into() },
            kind::MARKET_CREATED => Self::MarketCreated {
                market: r.u16()?,
                symbol: r.text()?.into(),
                base: r.u16()?,
                quote: r.u16()?,
                filters: Box::new(Filters::decode(r)?),
                commission: Commission::decode(r)?,
            },
            kind::FILTERS_SET => Self::FiltersSet { market: r.u16()?, filters: Box::new(Filters::decode(r)?) },
            kind::MARKET_STATUS_SET => Self::MarketStatusSet {
                market: r.u16()?,
                status: MarketStatus::from_code(r.u8()?).ok_or(r.error("a market status"))?,
            },
            kind::COMMISSION_SET => Self::CommissionSet { market: r.u16()?, commission: Commission::decode(r)? },
            kind::ACCOUNT_COMMISSION_SET => {
                Self::AccountCommissionSet { account: r.u32()?, commission: decode_commission_option(r)? }
            }
            kind::ACCOUNT_CREATED => Self::AccountCreated { account: r.u32()?, reference: r.text()?.into() },
            kind::ACCOUNT_RIGHTS_SET => Self::AccountRightsSet { account: r.u32()?, rights: AccountRights::decode(r)? },
            kind::CREDITED => {
                Self::Credited { account: r.u32()?, asset: r.u16()?, amount: r.amount()?, reference: r.text()?.into() }
            }
            kind::COMMAND_DONE => Self::CommandDone { id: r.u128()? },
            kind::FEATURE_LEVEL => match r.u32()? {
                level if level <= FEATURE_LEVEL => Self::FeatureLevel(level),
                _ => return Err(r.error("a feature level that this release knows: run the newer release")),
            },
            kind::COMMAND_EXECUTED => Self::CommandExecuted(CommandExecuted {
                id: r.u128()?,
                events: r.u32()?,
                cancel_refused: decode_refusal_option(r)?,
                new_refused: decode_refusal_option(r)?,
            }),
            other => Self::decode_rare(other, r)?,
        })
    }

    /// Most kinds from 21 on: rare compared with orders and trades.
    #[cold]
    fn decode_rare(kind: u8, r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            kind::STOPS_REACHED => Self::StopsReached { market: r.u16()?, low: r.i64()?, high: r.i64()? },
            kind::CANCEL_ALL_BEGUN => Self::CancelAllBegun { scope: CancelScope::decode(r)?, through: r.u64()? },
            kind::CANCEL_ALL_DONE => Self::CancelAllDone { scope: CancelScope::decode(r)? },
            kind::PRICE_RANGE_SET => {
                Self::PriceRangeSet { market: r.u16()?, rule: if r.bool()? { Some(PriceRange::decode(r)?) } else { None } }
            }
            kind::REFERENCE_PRICE_SET => Self::ReferencePriceSet { market: r.u16()?, price: r.i64()? },
            kind::BREAKER_SET => {
                Self::BreakerSet { market: r.u16()?, breaker: if r.bool()? { Some(Breaker::decode(r)?) } else { None } }
            }
            kind::TIME_SET_BACK => Self::TimeSetBack(r.i64()?),
            kind::MATCH_DECREMENTED => Self::MatchDecremented(MatchDecremented {
                prevented: MatchPrevented::decode(r)?,
                taker_released: r.amount()?,
                maker_released: r.amount()?,
            }),
            kind::ORDER_AMENDED => {
                Self::OrderAmended { order: r.u64()?, quantity: r.i64()?, client_id: client_id(r)?, released: r.amount()? }
            }
            kind::EXTENDED_ORDER_PLACED => {
                let bits = r.u8()?;
                if bits & !extended::ALL != 0 {
                    return Err(r.error("the properties of an order that this release knows: run the release that wrote it"));
                }
                let pending = bits & extended::PENDING != 0;
                let placed = OrderPlaced::decode_fields(r)?;
                let iceberg = if bits & extended::ICEBERG != 0 { r.i64()? } else { 0 };
                let trailing_delta = if bits & extended::TRAILING != 0 { r.u32()? } else { 0 };
                Self::ExtendedOrderPlaced(Box::new(ExtendedOrder { placed, pending, iceberg, trailing_delta }))
            }
            kind::OTO_PLACED => Self::OtoPlaced { list: r.u64()?, account: r.u32()?, market: r.u16()?, client_id: client_id(r)? },
            kind::PENDING_ACTIVATED => Self::PendingActivated { order: r.u64()?, hold: r.amount()?, rests: r.bool()? },
            kind::MARKET_LIMITS_SET => market_limits(LIMITS_LEVEL, r)?,
            kind::MARKET_LIMITS_OF_LEVEL_6_SET => market_limits(ICEBERG_LEVEL, r)?,
            kind::MARKET_LIMITS_OF_LEVEL_7_SET => market_limits(TRAILING_LEVEL, r)?,
            kind::EXCHANGE_LIMITS_SET => Self::ExchangeLimitsSet(ExchangeLimits::decode(LIMITS_LEVEL, r)?),
            kind::EXCHANGE_LIMITS_OF_LEVEL_6_SET => Self::ExchangeLimitsSet(ExchangeLimits::decode(ICEBERG_LEVEL, r)?),
            kind::MARKET_PAUSED => Self::MarketPaused { market: r.u16()?, until: r.i64()? },
            _ => return Err(r.error("an event kind that this release knows: run the release that wrote it")),
        })
    }
}

impl OrderPlaced {
    #[inline]
    fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.u8(kind::ORDER_PLACED);
        self.encode_fields(w);
    }

    #[inline]
    fn encode_fields(&self, w: &mut ByteEncoder<impl Sink>) {
        w.u64(self.order);
        w.u64(self.account.into());
        w.small(self.market.into());
        // Bits, low to high: side 1, type 4, time in force 2, rests 1.
        w.u8(self.side as u8 | (self.kind as u8) << 1 | (self.time_in_force as u8) << 5 | u8::from(self.rests) << 7);
        w.u8(self.stp as u8);
        w.i64(self.price);
        w.i64_mostly_zero(self.stop_price);
        w.i64(self.quantity);
        w.amount_mostly_zero(self.quote_order_quantity);
        w.amount(self.hold);
        w.small(self.list);
        w.bytes(self.client_id.as_bytes());
    }

    #[inline]
    fn decode_fields(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let (order, account, market) = (r.u64()?, r.u32()?, r.u16()?);
        let (packed, stp) = (r.u8()?, r.u8()?);
        Ok(Self {
            order,
            account,
            market,
            side: Side::from_code(packed & 1).ok_or(r.error("a side"))?,
            kind: OrderType::from_code(packed >> 1 & 15).ok_or(r.error("an order type"))?,
            time_in_force: TimeInForce::from_code(packed >> 5 & 3).ok_or(r.error("a time in force"))?,
            stp: StpMode::from_code(stp).ok_or(r.error("a self-trade prevention mode"))?,
            price: r.i64()?,
            stop_price: r.i64()?,
            quantity: r.i64()?,
            quote_order_quantity: r.amount()?,
            hold: r.amount()?,
            list: r.u64()?,
            client_id: client_id(r)?,
            rests: packed >> 7 != 0,
        })
    }
}

impl MatchPrevented {
    fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.u64(self.market.into());
        w.u64(self.prevented_match);
        w.u64(self.taker);
        w.u64(self.maker);
        w.i64(self.price);
        w.i64(self.taker_quantity);
        w.i64(self.maker_quantity);
    }

    fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            market: r.u16()?,
            prevented_match: r.u64()?,
            taker: r.u64()?,
            maker: r.u64()?,
            price: r.i64()?,
            taker_quantity: r.i64()?,
            maker_quantity: r.i64()?,
        })
    }
}

impl Trade {
    #[inline]
    fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.u8(kind::TRADE);
        w.small(self.market.into());
        w.u64(self.trade);
        w.u64(self.aggregate);
        w.u64(self.taker);
        w.u64(self.maker);
        w.i64(self.price);
        w.i64(self.quantity);
        w.amount(self.taker_commission);
        w.amount(self.maker_commission);
    }
}
