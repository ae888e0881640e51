//! The picture of an alert: its expression's last hour from Prometheus, the threshold and the time for which it fired marked.
//!
//! A picture is drawn before its message takes its turn in a chat: a Prometheus that is slow or gone delays no text. A picture
//! that fails is not sent; who asked for it by a button or a command is told why.

pub mod chart;
pub mod expression;
pub mod prometheus;
pub mod renderer;
pub mod unit;

pub use renderer::ChartRenderer;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    #[error("Prometheus: {0}")]
    Prometheus(String),
    #[error("there is nothing to draw: the query gave no points in this time")]
    Empty,
    #[error("it took longer than picture.timeout")]
    TimedOut,
    #[error("no Prometheus is known for it: set alertmanagers[].prometheus")]
    NoSource,
    #[error("it could not be drawn: {0}")]
    Drawing(String),
}
