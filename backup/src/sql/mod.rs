//! This module reads SQL that PostgreSQL's tools print. It is pure and does not depend on the rest of the agent.

mod script;
mod statement;

pub use script::{statements, words};
pub use statement::{Renaming, rename_database};
