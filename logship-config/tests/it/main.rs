//! This crate holds the integration tests: the library and the program with a fake Elasticsearch.

mod applying;
mod canonical;
mod connection;
mod contract;
mod fluent_bit;
mod generated;
mod help;
mod input;
mod java;
mod noida;
mod oracle;
mod owners;
mod perpetual;
mod place;
mod relay;
mod retention;
mod rules;
mod watching;
