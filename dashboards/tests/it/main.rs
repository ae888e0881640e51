//! Metrics in code, rules, their tests, the boards and the runbooks agree; and the running programs answer every query.

mod absence;
mod alerts;
mod board;
mod import;
mod inhibition;
mod live;
mod metrics;
mod mutation;
mod promtool;
mod replay;
mod runbooks;
