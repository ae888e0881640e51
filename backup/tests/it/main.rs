//! Tests of the backup agent with real PostgreSQL servers, their client tools, and a real S3 server.

#![recursion_limit = "256"]

mod agent;
mod archive;
mod churn;
mod client_certificates;
mod clock_steps;
mod completeness;
mod contention;
mod contrib;
mod credentials;
mod delete;
mod encodings;
mod faulty_store;
mod help;
mod interrupted;
mod kept;
mod left_out;
mod limits;
mod locales;
mod money;
mod names;
mod night;
mod order;
mod partial;
mod program;
mod records;
mod regression;
mod restore;
mod run;
mod settings;
mod source_faults;
mod store_faults;
mod store_options;
mod support;
mod timeouts;
mod traces;
mod twin;
mod verify;
