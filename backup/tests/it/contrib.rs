//! A database with every extension that the server's packages contain, and values of each of their types. The restore, the drill and
//! the script without the agent equal stock pg_restore of stock pg_dump's archive.

use backup::{
    config::SourceSettings,
    restore::{self, RestoreOptions},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{RANDOM_LINES, by_hand, control, full},
    restore::reader,
    support::{database, random, store_settings},
    twin::tool,
    verify::{drill, options as drill_options, scratch},
};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/contrib.sql");
/// PostgreSQL's contrib has more than 40 extensions. PyPI's build of PostgreSQL 16 (`pgserver`) contains two: plpgsql and vector.
const EXTENSIONS_OF_CONTRIB: i64 = 40;

/// pg_dump's output with rows.
fn dumped(place: &SourceSettings) -> Vec<String> {
    let text = String::from_utf8(tool("pg_dump", place, &[])).unwrap();
    text.lines().filter(|line| !RANDOM_LINES.iter().any(|random| line.starts_with(random))).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_extension_of_contrib_is_restored() {
    let (source, mut session) = database().await;
    let query = "SELECT count(*), current_setting('server_version') FROM pg_available_extensions";
    let (available, version): (i64, String) = sqlx::query_as(query).fetch_one(&mut session).await.unwrap();
    if available < EXTENSIONS_OF_CONTRIB {
        return println!(
            "skipped contrib on PostgreSQL {version}: this build of the server contains {available} extensions; install a build \
             with contrib (Debian: postgresql-<release>), and set POSTGRESQL_FOLDERS"
        );
    }
    tool("psql", &source, &["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", SCHEMA]);
    let query = "SELECT (SELECT count(*) FROM pg_extension), (SELECT string_agg(name || ': ' || error, '; ') FROM extensions WHERE error IS NOT NULL)";
    let (created, refused): (i64, Option<String>) = sqlx::query_as(query).fetch_one(&mut session).await.unwrap();
    assert!(created >= EXTENSIONS_OF_CONTRIB, "{created} created; {refused:?}");

    let store = store_settings().await;
    let agent = agent_in(&source, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    // Extensions of C functions need a superuser and the libraries of this server.
    let name = format!("contrib_{:08x}", random());
    let expected = dumped(&control(&source, &source, &format!("{name}_control")).await);
    let restored = format!("{name}_again");
    let options = RestoreOptions { jobs: 8, ..full(&source, &restored) };
    restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap();
    assert_eq!(dumped(&source.with_database(&restored)), expected);
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed && verdict.rows_compared > 50, "{verdict:?}");
    let stock = format!("{name}_stock");
    let (done, text) = by_hand(&store, &source, &[&manifest.id.to_string(), &source.database, &stock], &[]);
    assert!(done, "{text}");
    assert_eq!(dumped(&source.with_database(&stock)), expected);
}
