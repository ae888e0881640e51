//! Integration tests: the library and the program beside a fake Elasticsearch.

mod connection;
mod fluent_bit;
mod generated;
mod relay;
mod rules;
