//! This module writes and reads the fields that events and snapshots share.
//!
//! - The bytes of a field must not change: a journal of any release holds them.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError, Sink};
use crate::command::AccountRights;
use crate::market::{Commission, Filters};
use crate::money::Rate;
use crate::order::ClientId;
use crate::protection::{Breaker, CancelScope, PriceRange};
use crate::refusal::{Filter, Refusal};

pub(crate) fn client_id(r: &mut ByteDecoder<'_>) -> Result<ClientId, DecodeError> {
    ClientId::new(r.text()?).ok_or(r.error("a client order id"))
}

pub(crate) fn encode_commission_option(commission: Option<&Commission>, w: &mut ByteEncoder<impl Sink>) {
    w.bool(commission.is_some());
    if let Some(commission) = commission {
        commission.encode(w);
    }
}

pub(crate) fn decode_commission_option(r: &mut ByteDecoder<'_>) -> Result<Option<Commission>, DecodeError> {
    if r.bool()? { Commission::decode(r).map(Some) } else { Ok(None) }
}

pub(crate) fn encode_refusal_option(refusal: Option<&Refusal>, w: &mut ByteEncoder<impl Sink>) {
    match refusal {
        Some(refusal) => refusal.encode(w),
        None => w.u8(0),
    }
}

pub(crate) fn decode_refusal_option(r: &mut ByteDecoder<'_>) -> Result<Option<Refusal>, DecodeError> {
    match r.u8()? {
        0 => Ok(None),
        code => Refusal::of_code(code, r).map(Some),
    }
}

/// Filters by code, from [`FILTER_CODE`] on.
const FILTERS: [Filter; 17] = [
    Filter::Price,
    Filter::LotSize,
    Filter::MarketLotSize,
    Filter::PercentPriceBySide,
    Filter::Notional,
    Filter::MaxNumOrders,
    Filter::MaxNumAlgoOrders,
    Filter::MaxNumOrderAmends,
    Filter::MaxPosition,
    Filter::MaxNumOrderLists,
    Filter::ExchangeMaxNumOrders,
    Filter::ExchangeMaxNumAlgoOrders,
    Filter::ExchangeMaxNumOrderLists,
    Filter::IcebergParts,
    Filter::MaxNumIcebergOrders,
    Filter::ExchangeMaxNumIcebergOrders,
    Filter::TrailingDelta,
];
const FILTER_CODE: u8 = 64;
const INVALID_CODE: u8 = 32;
/// Refusals without a field, by code from 1 on.
const PLAIN: [Refusal; 28] = [
    Refusal::UnknownSymbol,
    Refusal::UnknownAccount,
    Refusal::UnknownAsset,
    Refusal::MarketClosed,
    Refusal::AccountDisabled,
    Refusal::InsufficientBalance,
    Refusal::DuplicateClientOrderId,
    Refusal::WouldTakeLiquidity,
    Refusal::WouldTriggerImmediately,
    Refusal::PriceRelationship,
    Refusal::UnknownOrder,
    Refusal::ClientOrderIdMismatch,
    Refusal::CancelRestricted,
    Refusal::EmptyBook,
    Refusal::LiquidityBelowLotSize,
    Refusal::LiquidityBelowMarketLotSize,
    Refusal::ZeroNotional,
    Refusal::UnsupportedCombination,
    Refusal::Overflow,
    Refusal::AmendNotSupported,
    Refusal::AmendIncreases,
    Refusal::AmendChangesNothing,
    Refusal::AmendBelowExecuted,
    Refusal::StpNotAllowed,
    Refusal::OtoNotSupported,
    Refusal::IcebergNotSupported,
    Refusal::IcebergExceedsQuantity,
    Refusal::TrailingNotSupported,
];

impl Refusal {
    /// Never starts with 0.
    pub fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        let code = match self {
            Self::Filter(filter) => FILTER_CODE + *filter as u8,
            Self::Invalid(text) => {
                w.u8(INVALID_CODE);
                return w.text(text);
            }
            // The table lists every other refusal: the test compares the two.
            plain => PLAIN.iter().position(|listed| listed == plain).map_or(INVALID_CODE, |index| index as u8 + 1),
        };
        w.u8(code);
    }

    /// # Errors
    ///
    /// Returns an error if the bytes are not a refusal.
    pub fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let code = r.u8()?;
        Self::of_code(code, r)
    }

    fn of_code(code: u8, r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        if code == INVALID_CODE {
            return Ok(Self::Invalid(r.text()?.into()));
        }
        let filter = code.checked_sub(FILTER_CODE).and_then(|index| FILTERS.get(usize::from(index)));
        let plain = || code.checked_sub(1).and_then(|index| PLAIN.get(usize::from(index)));
        filter.map(|filter| Self::Filter(*filter)).or_else(|| plain().cloned()).ok_or(r.error("the code of a refusal"))
    }
}

impl Commission {
    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.i64(self.maker);
        w.i64(self.taker);
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let (maker, taker): (Rate, Rate) = (r.i64()?, r.i64()?);
        Ok(Self { maker, taker })
    }
}

impl AccountRights {
    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.u8(u8::from(self.trade) | u8::from(self.withdraw) << 1 | u8::from(self.deposit) << 2);
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        let bits = r.u8()?;
        Ok(Self { trade: bits & 1 != 0, withdraw: bits & 2 != 0, deposit: bits & 4 != 0 })
    }
}

impl Filters {
    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        for value in [
            self.min_price,
            self.max_price,
            self.tick_size,
            self.min_quantity,
            self.max_quantity,
            self.step_size,
            self.market_min_quantity,
            self.market_max_quantity,
            self.market_step_size,
            self.bid_multiplier_up,
            self.bid_multiplier_down,
            self.ask_multiplier_up,
            self.ask_multiplier_down,
        ] {
            w.i64(value);
        }
        w.amount(self.min_notional);
        w.amount(self.max_notional);
        w.bool(self.apply_min_to_market);
        w.bool(self.apply_max_to_market);
        w.u8(self.average_minutes);
        w.u64(self.max_orders.into());
        w.u64(self.max_algo_orders.into());
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            min_price: r.i64()?,
            max_price: r.i64()?,
            tick_size: r.i64()?,
            min_quantity: r.i64()?,
            max_quantity: r.i64()?,
            step_size: r.i64()?,
            market_min_quantity: r.i64()?,
            market_max_quantity: r.i64()?,
            market_step_size: r.i64()?,
            bid_multiplier_up: r.i64()?,
            bid_multiplier_down: r.i64()?,
            ask_multiplier_up: r.i64()?,
            ask_multiplier_down: r.i64()?,
            min_notional: r.amount()?,
            max_notional: r.amount()?,
            apply_min_to_market: r.bool()?,
            apply_max_to_market: r.bool()?,
            average_minutes: r.u8()?,
            max_orders: r.u32()?,
            max_algo_orders: r.u32()?,
        })
    }
}

impl PriceRange {
    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        for rate in [self.bid_up, self.bid_down, self.ask_up, self.ask_down] {
            w.i64(rate);
        }
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { bid_up: r.i64()?, bid_down: r.i64()?, ask_up: r.i64()?, ask_down: r.i64()? })
    }
}

impl Breaker {
    pub(crate) fn encode(&self, w: &mut ByteEncoder<impl Sink>) {
        w.i64(self.deviation);
        w.i64(self.pause);
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self { deviation: r.i64()?, pause: r.i64()? })
    }
}

impl CancelScope {
    pub(crate) fn encode(self, w: &mut ByteEncoder<impl Sink>) {
        let (code, id) = match self {
            Self::Market(market) => (0, market.into()),
            Self::Account(account) => (1, account.into()),
        };
        w.u8(code);
        w.u64(id);
    }

    pub(crate) fn decode(r: &mut ByteDecoder<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            0 => Ok(Self::Market(r.u16()?)),
            1 => Ok(Self::Account(r.u32()?)),
            _ => Err(r.error("a scope of cancels")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_read_as_it_was_written() {
        let filters = FILTERS.iter().map(|filter| Refusal::Filter(*filter));
        let all: Vec<Refusal> = PLAIN.into_iter().chain(filters).chain([Refusal::Invalid("why".into())]).collect();
        for refusal in &all {
            let mut bytes = Vec::new();
            refusal.encode(&mut ByteEncoder(&mut bytes));
            let mut r = ByteDecoder::new(&bytes);
            assert_eq!(Refusal::decode(&mut r).as_ref(), Ok(refusal));
            assert!(r.is_empty() && bytes[0] != 0, "{refusal:?}");
        }
        let texts: std::collections::BTreeSet<String> = all.iter().map(|refusal| format!("{refusal:?}")).collect();
        assert_eq!(texts.len(), 46, "the tables name each refusal once: a new one needs a code at the end of its table");
        for code in [0, 29, 31, 33, 81, 255] {
            assert!(Refusal::decode(&mut ByteDecoder::new(&[code])).is_err(), "{code}");
        }
    }
}
