//! Integration tests: the library and the program beside a fake Elasticsearch.

mod applying;
mod beside;
mod canonical;
mod connection;
mod contract;
mod fluent_bit;
mod generated;
mod input;
mod perpetual;
mod place;
mod relay;
mod retention;
mod rules;
mod watching;
