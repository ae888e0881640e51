//! This module tests `logship relay` as a process, between a shipper and a fake Elasticsearch.

mod anywhere;
mod crowd;
mod hostile;
mod opensearch;
mod outcomes;
mod refusals;
mod storm;
mod tls;
mod traces;
pub mod world;
