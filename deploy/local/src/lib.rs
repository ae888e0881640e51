//! The real parts that the exchange needs, started on this machine: PostgreSQL, an S3 server, Prometheus, Alertmanager,
//! an SMS gateway.
//!
//! Used by the tests of every crate and by `make run`. Each part has its own folder, ports and processes, listens on
//! the loopback address only, ends with the process that started it (also when that one is killed), and is ended by
//! process id. Nothing here knows what the exchange does.
//!
//! Tests begin with [`shared_postgres`] and [`shared_object_store`], and start parts of their own only to break them.

mod account;
mod alertmanager;
mod binaries;
mod folder;
mod kannel;
mod launch;
mod object_store;
mod ports;
mod postgres;
mod process;
mod prometheus;
mod shared;
mod spawner;

pub use alertmanager::{Alertmanager, AlertmanagerOptions, AlertmanagerPlan};
pub use binaries::{MissingProgram, find as find_program};
pub use folder::Folder;
pub use kannel::{Kannel, KannelOptions, SentSms, SmsAccess};
pub use launch::{Launch, StopSignal};
pub use object_store::{ObjectStore, ObjectStoreOptions, ObjectStorePlan, S3Access};
pub use ports::free_ports;
pub use postgres::{Postgres, PostgresOptions, PostgresPlan, StopMode, answers as postgres_answers, create_database};
pub use process::{Process, log_tail};
pub use prometheus::{Prometheus, PrometheusOptions, PrometheusPlan, ScrapeTarget};
pub use shared::{SharedPostgres, TEST_POSTGRES_URL, TEST_S3, shared_object_store, shared_postgres};
