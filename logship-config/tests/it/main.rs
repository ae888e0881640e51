//! Integration tests: the library and the program beside a fake Elasticsearch.

mod connection;
mod generated;
mod relay;
mod rules;
