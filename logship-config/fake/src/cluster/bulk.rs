//! `_bulk`: documents into data streams and indices.

use jiff::Timestamp;

use super::Cluster;
use crate::{
    answer::{Answer, Refused},
    call::Call,
};

/// `index` is the path's, for lines that name none.
pub fn bulk(_cluster: &mut Cluster, _index: Option<&str>, _call: &Call, _now: Timestamp) -> Refused<Answer> {
    Err(Answer::not_modelled("_bulk"))
}
