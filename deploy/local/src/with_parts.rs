//! One PostgreSQL and one S3 server for a whole run of tests.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use local_parts::{ObjectStore, Postgres, SharedPostgres, TEST_POSTGRES_URL, TEST_S3};

use crate::command;

/// Ends with the command's status. A signal ends the command and then the servers.
pub async fn run(command: &[OsString]) -> Result<ExitCode> {
    eprintln!("starting PostgreSQL and the S3 server for the tests");
    let (postgres, store) = tokio::try_join!(Postgres::start(SharedPostgres::options()), ObjectStore::start())?;
    let environment =
        [(TEST_POSTGRES_URL.into(), postgres.url().into()), (TEST_S3.into(), serde_json::to_string(store.access())?.into())];
    command::run(command, environment).await
}
