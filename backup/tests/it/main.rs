//! The backup agent beside real PostgreSQL servers, their client tools, and a real S3 server.

mod archive;
mod completeness;
mod restore;
mod support;
mod twin;
