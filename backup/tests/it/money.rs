//! Values of `money`, whose text has the form of `lc_monetary`: in rows, defaults, checks and bounds of partitions.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use backup::{
    config::SourceSettings,
    restore::{self, RestoreOptions},
    verify::DrillPlace,
};
use local_parts::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{RANDOM_LINES, by_hand, full},
    restore::reader,
    support::{connect, source, store_settings},
    twin::tool,
    verify::{drill, options as drill_options},
};

const LOCALE: &str = "de_DE.UTF-8";
const SKIPPED: &str = "skipped: money under lc_monetary: localedef or its locales are missing; install: apt-get install locales";
const SCRIPT: &str = "CREATE TABLE amounts (a money DEFAULT '1.234,56'::money CHECK (a > '-9.999,99'::money), b money[]);
    INSERT INTO amounts VALUES ('1.234.567,89', '{\"-12,50\"}'), (DEFAULT, NULL);
    CREATE TABLE ranges (a money) PARTITION BY RANGE (a);
    CREATE TABLE ranges_1 PARTITION OF ranges FOR VALUES FROM ('0,00') TO ('1.000,50'); INSERT INTO ranges VALUES ('3,25');
    CREATE INDEX ON amounts (a) WHERE a > '1,50'::money; CREATE VIEW constant AS SELECT '2,50'::money AS two";

/// Whether the locale was compiled into `folder`, which any account can read.
fn compile_locale(folder: &Path) -> bool {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let (language, characters) = LOCALE.split_once('.').unwrap();
    // The status also reports warnings about the locale.
    let _ = Command::new("localedef").args(["-i", language, "-f", characters]).arg(folder.join(LOCALE)).output();
    folder.join(LOCALE).join("LC_MONETARY").exists()
}

fn dumped(place: &SourceSettings) -> Vec<String> {
    let text = String::from_utf8(tool("pg_dump", place, &[])).unwrap();
    text.lines().filter(|line| !RANDOM_LINES.iter().any(|random| line.starts_with(random))).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_restored_under_the_databases_locale() {
    let folder = tempfile::tempdir().unwrap();
    if !compile_locale(folder.path()) {
        return println!("{SKIPPED}");
    }
    let locales = PostgresOptions::throwaway().with_variable("LOCPATH", folder.path().to_str().unwrap());
    let postgres = Postgres::start(locales).await.unwrap();
    let place = source(&postgres.create_database("money").await.unwrap());
    let set = format!("ALTER DATABASE money SET lc_monetary = '{LOCALE}'");
    connect(&place).await.execute(AssertSqlSafe(set)).await.unwrap();
    connect(&place).await.execute(SCRIPT).await.unwrap();
    let expected = dumped(&place);
    assert!(expected.iter().any(|line| line.contains("1.234.567,89")), "{expected:?}");

    let store = store_settings().await;
    let agent = agent_in(&place, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    let options = RestoreOptions { jobs: 8, ..full(&place, "money_again") };
    restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap();
    assert_eq!(dumped(&place.with_database("money_again")), expected);
    let verdict = drill(&reader, &drill_options(DrillPlace::Given(place.clone()), &[])).await;
    assert!(verdict.passed && verdict.rows_compared == 3, "{verdict:?}");
    let (done, text) = by_hand(&store, &place, &[&manifest.id.to_string(), "money", "money_stock"], &[]);
    assert!(done, "{text}");
    assert_eq!(dumped(&place.with_database("money_stock")), expected);
}
