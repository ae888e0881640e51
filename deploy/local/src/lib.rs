//! This crate starts real parts on this machine: PostgreSQL, an S3 server, Prometheus, Alertmanager, an SMS gateway.
//!
//! The tests of every crate and `make run` use it. Each part:
//!
//! - has its own folder, ports and processes, and listens on the loopback address only;
//! - ends with the process that started it, also if that process is killed;
//! - is ended by process id.
//!
//! The library must not know the task of the exchange. Tests use [`shared_postgres`] and [`shared_object_store`], and
//! start separate parts only to break them.

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
mod traces;

pub use alertmanager::{Alertmanager, AlertmanagerOptions, AlertmanagerPlan};
pub use binaries::{MissingProgram, find as find_program};
pub use folder::Folder;
pub use kannel::{Kannel, KannelOptions, SentSms, SmsAccess};
pub use launch::{Launch, StopSignal};
pub use object_store::{ObjectStore, ObjectStoreOptions, ObjectStorePlan, S3Access};
pub use ports::free_ports;
pub use postgres::{Postgres, PostgresOptions, PostgresPlan, StopMode, create_database, postgres_answers};
pub use process::{ChildProcess, log_tail};
pub use prometheus::{Prometheus, PrometheusOptions, PrometheusPlan, ScrapeTarget};
pub use shared::{SharedPostgres, TEST_POSTGRES_URL, TEST_S3, shared_object_store, shared_postgres};
pub use traces::{SpanLink, StoredSpan, TraceReceiver};
