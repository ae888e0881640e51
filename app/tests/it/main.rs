//! Every integration test of the exchange, in one binary: a file per feature. PostgreSQL and the S3 server are real.
//!
//! Tests poll a condition with a deadline ([`eventually::eventually`]); none sleeps to wait.

mod eventually;
mod proxy;
mod replica;
mod test_app;

mod configuration;
mod damage;
mod degraded;
mod doubt;
mod durability;
mod migrate;
mod queue;
mod serve;
mod takeover;
