//! This module writes and reads the fields that events and snapshots share.
//!
//! - A field keeps its bytes for good: a journal of any release holds it.

use crate::codec::{DecodeError, Reader, Sink, Writer};
use crate::command::AccountRights;
use crate::market::{Commission, Filters};
use crate::money::Rate;
use crate::order::ClientId;
use crate::protection::{Breaker, CancelScope, PriceRange};

pub(crate) fn client_id(r: &mut Reader<'_>) -> Result<ClientId, DecodeError> {
    ClientId::new(r.text()?).ok_or(r.error("a client order id"))
}

pub(crate) fn encode_commission_option(commission: Option<&Commission>, w: &mut Writer<impl Sink>) {
    w.bool(commission.is_some());
    if let Some(commission) = commission {
        commission.encode(w);
    }
}

pub(crate) fn decode_commission_option(r: &mut Reader<'_>) -> Result<Option<Commission>, DecodeError> {
    if r.bool()? { Commission::decode(r).map(Some) } else { Ok(None) }
}

impl Commission {
    pub(crate) fn encode(&self, w: &mut Writer<impl Sink>) {
        w.i64(self.maker);
        w.i64(self.taker);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (maker, taker): (Rate, Rate) = (r.i64()?, r.i64()?);
        Ok(Self { maker, taker })
    }
}

impl AccountRights {
    pub(crate) fn encode(&self, w: &mut Writer<impl Sink>) {
        w.u8(u8::from(self.trade) | u8::from(self.withdraw) << 1 | u8::from(self.deposit) << 2);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bits = r.u8()?;
        Ok(Self { trade: bits & 1 != 0, withdraw: bits & 2 != 0, deposit: bits & 4 != 0 })
    }
}

impl Filters {
    pub(crate) fn encode(&self, w: &mut Writer<impl Sink>) {
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

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
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
    pub(crate) fn encode(&self, w: &mut Writer<impl Sink>) {
        for rate in [self.bid_up, self.bid_down, self.ask_up, self.ask_down] {
            w.i64(rate);
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { bid_up: r.i64()?, bid_down: r.i64()?, ask_up: r.i64()?, ask_down: r.i64()? })
    }
}

impl Breaker {
    pub(crate) fn encode(&self, w: &mut Writer<impl Sink>) {
        w.i64(self.deviation);
        w.i64(self.pause);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { deviation: r.i64()?, pause: r.i64()? })
    }
}

impl CancelScope {
    pub(crate) fn encode(self, w: &mut Writer<impl Sink>) {
        let (code, id) = match self {
            Self::Market(market) => (0, market.into()),
            Self::Account(account) => (1, account.into()),
        };
        w.u8(code);
        w.u64(id);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            0 => Ok(Self::Market(r.u16()?)),
            1 => Ok(Self::Account(r.u32()?)),
            _ => Err(r.error("a scope of cancels")),
        }
    }
}
