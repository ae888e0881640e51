//! This module contains all SQL, one file per table group. It must not use an HTTP type or make a decision.

pub mod account_ledger;
pub mod api_keys;
pub mod archives;
pub mod candles;
pub mod copy;
pub mod declarations;
pub mod head;
pub mod history;
pub mod jobs;
pub mod journal;
pub mod ledger;
pub mod marks;
pub mod migrate;
pub mod notices;
pub mod numeric;
pub mod orders;
pub mod projection;
pub mod readers;
pub mod recovered;
pub mod reference;
pub mod replicas;
pub mod session;
pub mod shipping;
pub mod statements;
pub mod trades;
