//! Objects whose creation reads rows of other tables, or must precede the planner's statistics.

use backup::restore::Options;
use sqlx::{AssertSqlSafe, Executor};

use crate::{
    agent::{agent, take},
    restore::{options, reader, restore_with},
    support::{connect, database, other_server, random},
};

/// The large table is filled first, and its index calls a function that is declared immutable and reads the other table. The
/// dictionary waits for its rows: its name comes last and it is smaller.
const LOOKUP: &str = "CREATE TABLE z_words (number int, word text); INSERT INTO z_words SELECT n, 'word ' || n FROM generate_series(0, 9) n;
    CREATE FUNCTION word_of(n int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT coalesce((SELECT word FROM public.z_words WHERE number = n % 10), ''none'')';
    CREATE TABLE a_large (id int, filler text, other int);
    INSERT INTO a_large SELECT n, repeat('x', 100), n FROM generate_series(1, 60000) n;
    CREATE INDEX by_word ON a_large (word_of(id));
    CREATE STATISTICS together (ndistinct) ON id, other FROM a_large";

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_reads_another_table_contains_its_rows() {
    let (source, mut session) = database().await;
    session.execute(LOOKUP).await.unwrap();
    let agent = agent(&source, &[]).await;
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let (server, name) = (other_server().await, format!("lookup_{:08x}", random()));
    // One session takes the longest tasks first, so the dictionary comes last.
    restore_with(&reader, &Options { jobs: 1, ..options(&server, &name) }).await.unwrap();
    let mut restored = connect(&server.with_database(&name)).await;
    restored.execute("SET enable_seqscan = off").await.unwrap();
    let found = "SELECT count(*) FROM a_large WHERE word_of(id) = 'word 3'";
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {found}"))).fetch_all(&mut restored).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("by_word")), "{plan:?}");
    let found: i64 = sqlx::query_scalar(found).fetch_one(&mut restored).await.unwrap();
    assert_eq!(found, 6000);

    // Statistics for the planner: of the expression, and of the statistics object.
    let known = "SELECT (SELECT count(*) FROM pg_stats WHERE tablename = 'by_word'), (SELECT count(*) FROM pg_stats_ext WHERE statistics_name = 'together' AND n_distinct IS NOT NULL)";
    let known: (i64, i64) = sqlx::query_as(known).fetch_one(&mut restored).await.unwrap();
    assert_eq!(known, (1, 1));
}
