//! The shell round the pure core: who leads, what is durable, what is answered when. Never: a matching rule, SQL text.

pub mod committed;
pub mod handle;
pub mod history;
pub mod projection;
pub mod tail;
