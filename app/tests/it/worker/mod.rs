//! Tests of the worker with a real PostgreSQL and a real S3 server: projection, rebuild, jobs, storage.

mod archive;
mod jobs;
mod journal;
mod ledger;
mod projection;
mod statement;
mod storage;
mod tables;
pub mod test_worker;
