//! The backup agent beside real PostgreSQL servers, their client tools, and a real S3 server.

#![recursion_limit = "256"]

mod agent;
mod archive;
mod completeness;
mod program;
mod restore;
mod run;
mod support;
mod twin;
