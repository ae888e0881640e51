//! The core's tests in one binary. `support` creates exchanges and commands; every other file has one subject.

mod amendments;
mod cascade;
mod cost;
mod decrement;
mod forwarded;
mod golden;
mod iceberg;
mod limits;
mod naive;
mod order_count;
mod oto;
mod properties;
mod protection;
mod refusals;
mod scenarios;
mod simulation;
mod support;
mod trailing;
mod twin;
