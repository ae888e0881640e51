//! Integration tests: the library and the program beside a fake Elasticsearch.

mod applying;
mod canonical;
mod connection;
mod fluent_bit;
mod generated;
mod perpetual;
mod place;
mod relay;
mod rules;
