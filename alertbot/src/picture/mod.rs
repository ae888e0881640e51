//! This module draws the chart of an alert: its expression over the last hour, with the threshold and the time in which it fired.
//!
//! - A chart is drawn before its message enters the queue of a chat, so a slow Prometheus delays no text.
//! - A failed chart is not sent. A person who requested it by a button or command receives the reason.

pub mod chart;
pub mod expression;
pub mod prometheus;
pub mod renderer;
pub mod unit;

pub use renderer::ChartRenderer;

/// Why a chart could not be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    #[error("Prometheus: {0}")]
    Prometheus(String),
    #[error("there is nothing to draw: the query returned no points in this time")]
    Empty,
    #[error("it took longer than picture.timeout")]
    TimedOut,
    #[error("no Prometheus is known for it: set alertmanagers[].prometheus")]
    NoSource,
    #[error("it could not be drawn: {0}")]
    Drawing(String),
}
