//! This module encodes the commands that a follower forwards to the leader. It must not encode an operator's command: operators
//! reach the leader directly.
//!
//! - Both ends may be of different releases. A new kind of command gets a new number; the fields of a number must not change.

use crate::codec::{ByteDecoder, ByteEncoder, DecodeError};
use crate::command::{
    AmendOrder, CancelOrder, CancelReplaceMode, CancelRestriction, Command, Extras, NewOco, NewOrder, NewOto, OcoLeg,
    PendingOrders,
};
use crate::fields::client_id;
use crate::order::{ClientId, OrderType, Side, StpMode, TimeInForce};
use smallvec::SmallVec;

mod kind {
    pub const PLACE: u8 = 1;
    pub const CANCEL: u8 = 2;
    pub const CANCEL_ALL: u8 = 3;
    pub const CANCEL_REPLACE: u8 = 4;
    pub const PLACE_OCO: u8 = 5;
    pub const CANCEL_LIST: u8 = 6;
    /// From feature level 4 on.
    pub const AMEND: u8 = 7;
    /// From feature level 5 on.
    pub const PLACE_OTO: u8 = 8;
    /// From feature level 6 on: the extras of each order, then a command that places orders.
    pub const EXTENDED: u8 = 9;
    /// From feature level 7 on: as 9, with what trailing stop orders add.
    pub const TRAILING: u8 = 10;
}

type Out<'a> = ByteEncoder<&'a mut Vec<u8>>;

impl Command {
    /// Whether a follower forwards the command.
    pub const fn is_forwarded(&self) -> bool {
        !matches!(self, Self::Admin { .. } | Self::Tick)
    }

    /// Appends the command's bytes. False: the command is not forwarded, and nothing was written.
    pub fn encode(&self, out: &mut Vec<u8>) -> bool {
        let mut w = ByteEncoder(out);
        let extras = self.extras();
        if extras.iter().any(|extras| *extras != Extras::default()) {
            let trails = extras.iter().any(|extras| extras.trailing_delta > 0);
            w.u8(if trails { kind::TRAILING } else { kind::EXTENDED });
            w.u8(extras.len() as u8);
            for Extras { iceberg, trailing_delta } in extras {
                w.i64(iceberg);
                if trails {
                    w.u64(trailing_delta.into());
                }
            }
        }
        match self {
            Self::Place(new) => {
                w.u8(kind::PLACE);
                encode_order(new, &mut w);
            }
            Self::Cancel(cancel) => {
                w.u8(kind::CANCEL);
                encode_cancel(cancel, &mut w);
            }
            Self::CancelAll { account, market } => {
                w.u8(kind::CANCEL_ALL);
                w.u64((*account).into());
                w.u64((*market).into());
            }
            Self::CancelReplace { cancel, new, mode } => {
                w.u8(kind::CANCEL_REPLACE);
                encode_cancel(cancel, &mut w);
                encode_order(new, &mut w);
                w.bool(*mode == CancelReplaceMode::AllowFailure);
            }
            Self::PlaceOco(new) => {
                w.u8(kind::PLACE_OCO);
                encode_oco(new, &mut w);
            }
            Self::PlaceOto(new) => {
                w.u8(kind::PLACE_OTO);
                encode_oto(new, &mut w);
            }
            Self::CancelList { account, market, list, client_id } => {
                w.u8(kind::CANCEL_LIST);
                w.u64((*account).into());
                w.u64((*market).into());
                w.u64(list.unwrap_or(0));
                encode_id(client_id.as_ref(), &mut w);
            }
            Self::Amend(amend) => {
                w.u8(kind::AMEND);
                encode_amend(amend, &mut w);
            }
            Self::Admin { .. } | Self::Tick => return false,
        }
        true
    }

    /// # Errors
    ///
    /// Returns an error if the bytes are not one whole command that this release knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = ByteDecoder::new(bytes);
        let (mut first, mut extras) = (r.u8()?, None);
        if matches!(first, kind::EXTENDED | kind::TRAILING) {
            let trails = first == kind::TRAILING;
            let mut read: SmallVec<[Extras; 3]> = SmallVec::new();
            for _ in 0..r.u8()? {
                read.push(Extras { iceberg: r.i64()?, trailing_delta: if trails { r.u32()? } else { 0 } });
            }
            (first, extras) = (r.u8()?, Some(read));
        }
        let mut command = match first {
            kind::PLACE => Self::Place(decode_order(&mut r)?),
            kind::CANCEL => Self::Cancel(decode_cancel(&mut r)?),
            kind::CANCEL_ALL => Self::CancelAll { account: r.u32()?, market: r.u16()? },
            kind::CANCEL_REPLACE => Self::CancelReplace {
                cancel: decode_cancel(&mut r)?,
                new: decode_order(&mut r)?,
                mode: if r.bool()? { CancelReplaceMode::AllowFailure } else { CancelReplaceMode::StopOnFailure },
            },
            kind::PLACE_OCO => Self::PlaceOco(decode_oco(&mut r)?),
            kind::CANCEL_LIST => Self::CancelList {
                account: r.u32()?,
                market: r.u16()?,
                list: Some(r.u64()?).filter(|list| *list != 0),
                client_id: decode_id(&mut r)?,
            },
            kind::PLACE_OTO => Self::PlaceOto(Box::new(decode_oto(&mut r)?)),
            kind::AMEND => Self::Amend(decode_amend(&mut r)?),
            _ => return Err(r.error("a command that this release knows")),
        };
        if extras.is_some_and(|extras| !command.set_extras(&extras)) {
            return Err(r.error("the extras of each order of the command"));
        }
        if r.is_empty() { Ok(command) } else { Err(r.error("the end of the command")) }
    }
}

fn encode_order(new: &NewOrder, w: &mut Out<'_>) {
    w.u64(new.account.into());
    w.u64(new.market.into());
    for code in [new.side as u8, new.kind as u8, new.time_in_force as u8, new.stp as u8] {
        w.u8(code);
    }
    w.i64(new.price);
    w.i64(new.stop_price);
    w.i64(new.quantity);
    w.amount(new.quote_order_quantity);
    w.text(new.client_id.as_str());
}

fn decode_order(r: &mut ByteDecoder<'_>) -> Result<NewOrder, DecodeError> {
    Ok(NewOrder {
        account: r.u32()?,
        market: r.u16()?,
        side: side(r)?,
        kind: order_type(r)?,
        time_in_force: time_in_force(r)?,
        stp: stp(r)?,
        price: r.i64()?,
        stop_price: r.i64()?,
        quantity: r.i64()?,
        quote_order_quantity: r.amount()?,
        iceberg: 0,
        trailing_delta: 0,
        client_id: client_id(r)?,
    })
}

fn encode_cancel(cancel: &CancelOrder, w: &mut Out<'_>) {
    w.u64(cancel.account.into());
    w.u64(cancel.market.into());
    w.u64(cancel.order.unwrap_or(0));
    encode_id(cancel.client_id.as_ref(), w);
    w.u8(match cancel.restriction {
        None => 0,
        Some(CancelRestriction::OnlyNew) => 1,
        Some(CancelRestriction::OnlyPartiallyFilled) => 2,
    });
}

fn decode_cancel(r: &mut ByteDecoder<'_>) -> Result<CancelOrder, DecodeError> {
    Ok(CancelOrder {
        account: r.u32()?,
        market: r.u16()?,
        order: Some(r.u64()?).filter(|order| *order != 0),
        client_id: decode_id(r)?,
        restriction: match r.u8()? {
            0 => None,
            1 => Some(CancelRestriction::OnlyNew),
            2 => Some(CancelRestriction::OnlyPartiallyFilled),
            _ => return Err(r.error("a restriction of a cancel")),
        },
    })
}

fn encode_amend(amend: &AmendOrder, w: &mut Out<'_>) {
    w.u64(amend.account.into());
    w.u64(amend.market.into());
    w.u64(amend.order.unwrap_or(0));
    encode_id(amend.client_id.as_ref(), w);
    w.text(amend.new_client_id.as_str());
    w.i64(amend.quantity);
}

fn decode_amend(r: &mut ByteDecoder<'_>) -> Result<AmendOrder, DecodeError> {
    Ok(AmendOrder {
        account: r.u32()?,
        market: r.u16()?,
        order: Some(r.u64()?).filter(|order| *order != 0),
        client_id: decode_id(r)?,
        new_client_id: client_id(r)?,
        quantity: r.i64()?,
    })
}

fn encode_oco(new: &NewOco, w: &mut Out<'_>) {
    w.u64(new.account.into());
    w.u64(new.market.into());
    w.u8(new.side as u8);
    w.i64(new.quantity);
    w.u8(new.stp as u8);
    w.text(new.list_client_id.as_str());
    for leg in [&new.above, &new.below] {
        w.u8(leg.kind as u8);
        w.i64(leg.price);
        w.i64(leg.stop_price);
        w.u8(leg.time_in_force as u8);
        w.text(leg.client_id.as_str());
    }
}

fn decode_oco(r: &mut ByteDecoder<'_>) -> Result<NewOco, DecodeError> {
    let leg = |r: &mut ByteDecoder<'_>| {
        Ok(OcoLeg {
            kind: order_type(r)?,
            price: r.i64()?,
            stop_price: r.i64()?,
            time_in_force: time_in_force(r)?,
            iceberg: 0,
            trailing_delta: 0,
            client_id: client_id(r)?,
        })
    };
    Ok(NewOco {
        account: r.u32()?,
        market: r.u16()?,
        side: side(r)?,
        quantity: r.i64()?,
        stp: stp(r)?,
        list_client_id: client_id(r)?,
        above: leg(r)?,
        below: leg(r)?,
    })
}

fn encode_oto(new: &NewOto, w: &mut Out<'_>) {
    w.text(new.list_client_id.as_str());
    encode_order(&new.working, w);
    w.bool(matches!(new.pending, PendingOrders::Pair { .. }));
    for order in new.pending.orders() {
        encode_order(order, w);
    }
}

fn decode_oto(r: &mut ByteDecoder<'_>) -> Result<NewOto, DecodeError> {
    let (list_client_id, working) = (client_id(r)?, decode_order(r)?);
    let pending = match r.bool()? {
        false => PendingOrders::One(decode_order(r)?),
        true => PendingOrders::Pair { above: decode_order(r)?, below: decode_order(r)? },
    };
    Ok(NewOto { list_client_id, working, pending })
}

/// An empty text stands for none: a client order id has at least one character.
fn encode_id(id: Option<&ClientId>, w: &mut Out<'_>) {
    w.text(id.map_or("", ClientId::as_str));
}

fn decode_id(r: &mut ByteDecoder<'_>) -> Result<Option<ClientId>, DecodeError> {
    match r.text()? {
        "" => Ok(None),
        text => ClientId::new(text).map(Some).ok_or(r.error("a client order id")),
    }
}

fn side(r: &mut ByteDecoder<'_>) -> Result<Side, DecodeError> {
    Side::from_code(r.u8()?).ok_or(r.error("a side"))
}

fn order_type(r: &mut ByteDecoder<'_>) -> Result<OrderType, DecodeError> {
    OrderType::from_code(r.u8()?).ok_or(r.error("an order type"))
}

fn time_in_force(r: &mut ByteDecoder<'_>) -> Result<TimeInForce, DecodeError> {
    TimeInForce::from_code(r.u8()?).ok_or(r.error("a time in force"))
}

fn stp(r: &mut ByteDecoder<'_>) -> Result<StpMode, DecodeError> {
    StpMode::from_code(r.u8()?).ok_or(r.error("a self-trade prevention mode"))
}
