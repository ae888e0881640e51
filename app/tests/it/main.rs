//! All integration tests of the exchange in one binary, one file per feature. PostgreSQL and the S3 server are real.
//!
//! Tests poll a condition with a deadline ([`eventually::eventually`]); none sleeps to wait.

mod eventually;
mod exchange;
mod proxy;
mod replica;
mod schema;
mod socket;
mod test_app;

mod account;
mod api_keys;
mod bad_input;
mod cancel_replace;
mod cascade;
mod clocks;
mod configuration;
mod confirmed;
mod damage;
mod degraded;
mod doubt;
mod durability;
mod edge;
mod followers;
mod history;
mod lost_tail;
mod market_data;
mod migrate;
mod operator;
mod order_lists;
mod order_types;
mod pooler;
mod processes;
mod publish;
mod queue;
mod rate_limits;
mod recover;
mod recovery;
mod reference;
mod rolling;
mod serve;
mod shipping;
mod statements;
mod stream_book;
mod stream_input;
mod streams;
mod takeover;
mod worker;
mod ws_api;
