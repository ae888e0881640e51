//! Metrics in code, rules, their tests, the board and the runbooks agree.

mod alerts;
mod board;
mod metrics;
mod promtool;
mod runbooks;
