//! PostgreSQL's own regression database, with every kind of object.

use std::path::Path;

use backup::restore::{self, RestoreOptions};
use local_parts::{Postgres, PostgresOptions, find_program};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{by_hand, control, full, schema},
    restore::reader,
    support::{connect, source, store_settings},
    verify::{drill, options as drill_options, scratch},
};

const SKIPPED: &str =
    "skipped: set POSTGRES_SOURCE to PostgreSQL's source of the server's version (apt-get source postgresql-15)";

/// Runs the files of the schedule in order. Files that need an extra library of the tests fail and are skipped.
fn fill(regress: &Path, place: &backup::config::SourceSettings) {
    let schedule = std::fs::read_to_string(regress.join("parallel_schedule")).unwrap();
    let tests = schedule.lines().filter_map(|line| line.strip_prefix("test: ")).flat_map(str::split_whitespace);
    for test in tests.filter(|test| *test != "tablespace") {
        let file = regress.join("sql").join(format!("{test}.sql"));
        if !file.exists() {
            continue;
        }
        std::process::Command::new(find_program("psql").unwrap())
            .args(["--no-psqlrc", "--quiet", "--file"])
            .arg(&file)
            .envs(place.environment())
            .env("PG_ABS_SRCDIR", regress)
            .env("PG_ABS_BUILDDIR", std::env::temp_dir())
            .env("PG_LIBDIR", "/nowhere")
            .env("PG_DLSUFFIX", ".so")
            .output()
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make soak"]
#[expect(clippy::disallowed_methods, reason = "the test reads the path of the source, and has no settings")]
async fn the_regression_database_is_restored() {
    let Some(folder) = std::env::var_os("POSTGRES_SOURCE") else { return println!("{SKIPPED}") };
    let regress = Path::new(&folder).join("src/test/regress");
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let place = source(&postgres.create_database("regression").await.unwrap());
    fill(&regress, &place);
    let mut session = connect(&place).await;
    let relations: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE oid >= 16384").fetch_one(&mut session).await.unwrap();
    assert!(relations > 500, "{relations} relations");
    let store = store_settings().await;
    let agent = agent_in(&place, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    let expected = control(&place, &place, "regression_control").await;
    let options = RestoreOptions { jobs: 8, ..full(&place, "regression_again") };
    restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap();
    assert_eq!(schema(&place.with_database("regression_again")), schema(&expected));
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
    println!("{relations} relations, {} rows compared", verdict.rows_compared);
    let (done, text) = by_hand(&store, &place, &[&manifest.id.to_string(), "regression", "regression_stock"], &[]);
    assert!(done, "{text}");
    assert_eq!(schema(&place.with_database("regression_stock")), schema(&expected));
}
