//! The backup agent: PostgreSQL to object storage, streamed, verified by a real restore.

pub mod archive;
