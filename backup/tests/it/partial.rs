//! Output of pg_dump other than one table's rows into that table, and databases that cannot be read while others can.

use backup::{export, failure::Exit, prune::prune_backups, restore, verify::DrillPlace};
use local_parts::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{by_hand, control, full, pipe_into_pg_restore},
    program::{ended, program},
    restore::reader,
    support::{connect, database, other_server, random, source, store_settings},
    verify::{drill, options as drill_options, scratch},
};

/// Hashes of enums differ between servers, so pg_dump loads such partitions through their root. One partition has another order
/// of columns, and one tree has such a level below a list.
const HASHED: &str = "CREATE TYPE mood AS ENUM ('calm', 'glad', 'sad', 'wild');
    CREATE TABLE moods (id int NOT NULL, mood mood NOT NULL, note text) PARTITION BY HASH (mood);
    CREATE TABLE moods_0 PARTITION OF moods FOR VALUES WITH (MODULUS 3, REMAINDER 0);
    CREATE TABLE moods_1 PARTITION OF moods FOR VALUES WITH (MODULUS 3, REMAINDER 1);
    CREATE TABLE moods_2 (note text, mood mood NOT NULL, gone int, id int NOT NULL);
    ALTER TABLE moods_2 DROP COLUMN gone;
    ALTER TABLE moods ATTACH PARTITION moods_2 FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    ALTER TABLE moods ADD PRIMARY KEY (mood, id);
    INSERT INTO moods SELECT n, (enum_range(NULL::mood))[1 + n % 4], md5(n::text) FROM generate_series(1, 20000) n;
    CREATE TABLE deep (kind int, mood mood, a int) PARTITION BY LIST (kind);
    CREATE TABLE deep_1 PARTITION OF deep FOR VALUES IN (1);
    CREATE TABLE deep_2 PARTITION OF deep FOR VALUES IN (2) PARTITION BY HASH (mood);
    CREATE TABLE deep_2_0 PARTITION OF deep_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE deep_2_1 PARTITION OF deep_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO deep SELECT 1 + n % 2, (enum_range(NULL::mood))[1 + n % 4], n FROM generate_series(1, 1000) n;
    CREATE TABLE plain (a int); INSERT INTO plain VALUES (1)";

/// Stock pg_restore cannot restore these: pg_dump does not load such partitions through their root, and lists the event trigger
/// before the refresh that it refuses.
const BEYOND_STOCK: &str = "
    CREATE TABLE lists (moods mood[], a int) PARTITION BY HASH (moods);
    CREATE TABLE lists_0 PARTITION OF lists FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE lists_1 (a int, moods mood[]);
    ALTER TABLE lists ATTACH PARTITION lists_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO lists SELECT ARRAY[(enum_range(NULL::mood))[1 + n % 4]], n FROM generate_series(1, 1000) n;
    CREATE TYPE felt AS (mood mood, since date);
    CREATE TABLE feelings (felt felt, granted aclitem) PARTITION BY HASH (felt, granted);
    CREATE TABLE feelings_0 PARTITION OF feelings FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE feelings_1 PARTITION OF feelings FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO feelings SELECT ROW((enum_range(NULL::mood))[1 + n % 4], date '2024-01-01' + n)::felt FROM generate_series(1, 500) n;
    CREATE MATERIALIZED VIEW felt_at AS SELECT count(*) FROM feelings;
    CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'changes are refused'; END $$;
    CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse();
    COMMENT ON EVENT TRIGGER refuse IS 'no changes'";
const REMOVE_BEYOND_STOCK: &str = "DROP EVENT TRIGGER refuse; DROP FUNCTION refuse; DROP TABLE lists, feelings CASCADE";

#[tokio::test(flavor = "multi_thread")]
async fn partitions_loaded_through_their_root_are_restored() {
    let (origin, mut session) = database().await;
    session.execute(HASHED).await.unwrap();
    session.execute(BEYOND_STOCK).await.unwrap();
    let (server, store) = (other_server().await, store_settings().await);
    let agent = agent_in(&origin, &store, &[("BACKUP_COMPRESSION_LEVEL", "1")]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    let name = format!("hashed_{:08x}", random());
    let options = restore::RestoreOptions { jobs: 8, ..full(&server, &name) };
    restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap();
    let beyond = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM (SELECT moods[1], a, NULL::date FROM lists \
        UNION ALL SELECT (felt).mood, 0, (felt).since FROM feelings UNION ALL SELECT NULL, count, NULL FROM felt_at) t";
    let stock = server.with_database(&format!("{name}_stock"));
    let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), &origin.database, &stock.database], &[]);
    assert!(done, "{text}");
    let mut archive = Vec::new();
    let everything = restore::Selection::default().choose(&opened.toc).unwrap();
    export::export_backup(&reader, &opened, &everything, &mut archive).await.unwrap();
    let piped = server.with_database(&format!("{name}_piped"));
    let create = format!("CREATE DATABASE {} TEMPLATE template0", piped.database);
    connect(&server).await.execute(AssertSqlSafe(create)).await.unwrap();
    pipe_into_pg_restore(&piped, &archive);
    let mut found = Vec::new();
    for place in [&origin, &server.with_database(&name), &stock, &piped] {
        let mut session = connect(place).await;
        found.push(sqlx::query_scalar::<_, String>(beyond).fetch_one(&mut session).await.unwrap());
        let refused = session.execute("CREATE TABLE refused ()").await.unwrap_err().to_string();
        assert!(refused.contains("changes are refused"), "{refused}");
    }
    assert!(found.iter().all(|sum| *sum == found[0]), "{found:?}");
    session.execute(REMOVE_BEYOND_STOCK).await.unwrap();
    let expected = control(&origin, &server, &format!("{name}_control")).await;
    // The hashes on this server differ from the first one, so only the whole tree can be compared.
    let sums = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM (SELECT id, mood, note FROM moods UNION ALL SELECT a, mood, kind::text FROM deep) t";
    let mut found = Vec::new();
    for place in [&origin, &expected, &server.with_database(&name)] {
        found.push(sqlx::query_scalar::<_, String>(sums).fetch_one(&mut connect(place).await).await.unwrap());
    }
    assert!(found[0] == found[1] && found[1] == found[2], "{found:?}");
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed && verdict.rows_compared == 22_501, "{:?}", verdict.faults);
    let verdict = drill(&reader, &drill_options(DrillPlace::Given(server.clone()), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);

    let by_hand: String = sqlx::query_scalar(sums).fetch_one(&mut connect(&stock).await).await.unwrap();
    assert_eq!(by_hand, found[0]);

    let of_partition = opened.contents.tables.iter().find(|table| table.name == "moods_1").map_or(0, |table| table.rows) as i64;
    // The whole tree by its parent's name, and a single partition.
    for (table, rows) in [("moods", 20_000), ("deep", 1000), ("moods_1", -1)] {
        let part = format!("{name}_{table}");
        let mut options = full(&server, &part);
        options.selection.tables = vec![table.parse().unwrap()];
        restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap();
        let count = format!("SELECT count(*) FROM {table}");
        let count: i64 =
            sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut connect(&server.with_database(&part)).await).await.unwrap();
        let rows = if rows < 0 { of_partition } else { rows };
        assert_eq!(count, rows, "{table}");
    }
}

/// A database with a locked table fails. The other one is backed up, the result names the failed one, and this backup does not
/// replace an earlier one.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_database_does_not_fail_the_others() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let server = source(&postgres.url());
    for name in ["good", "held", "template_of_ours", "closed"] {
        connect(&source(&postgres.create_database(name).await.unwrap()))
            .await
            .execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
            .await
            .unwrap();
    }
    let mut session = connect(&server).await;
    session.execute("ALTER DATABASE template_of_ours IS_TEMPLATE true").await.unwrap();
    session.execute("ALTER DATABASE closed ALLOW_CONNECTIONS false").await.unwrap();
    session.execute("CREATE DATABASE broken").await.unwrap();
    session.execute("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'").await.unwrap();
    let store = store_settings().await;
    let changes = [
        ("BACKUP_DATABASES", ""),
        ("BACKUP_LOCK_WAIT", "300ms"),
        ("BACKUP_ATTEMPTS", "2"),
        ("BACKUP_KEEP_LAST", "1"),
        ("BACKUP_PRUNE_AFTER_RUN", "false"),
    ];
    let agent = agent_in(&server, &store, &changes);
    let whole = take(&agent).await.unwrap();
    let left_out: Vec<_> = whole.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    for (part, why) in [("broken", "invalid"), ("closed", "refuses connections"), ("template_of_ours", "template")] {
        assert!(left_out.iter().any(|line| line.starts_with(part) && line.contains(why)), "{left_out:?}");
    }
    // A database that the settings name is expected in the backup.
    let named = agent_in(&server, &store, &[&changes[1..], &[("BACKUP_DATABASES", "good,closed,broken")]].concat());
    let lacking = take(&named).await.unwrap();
    let failed: Vec<_> = lacking.failed.iter().map(|failed| failed.database.as_str()).collect();
    assert!(!lacking.is_complete() && failed == ["broken", "closed"] && lacking.left_out.is_empty(), "{lacking:?}");

    let mut keeper = connect(&server.with_database("held")).await;
    keeper.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let manifest = take(&agent).await.unwrap();
    let names = |databases: &[backup::manifest::ManifestDatabase]| {
        databases.iter().map(|database| database.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&manifest.databases), ["good", "postgres"]);
    assert!(manifest.failed.len() == 1 && manifest.failed[0].database == "held", "{:?}", manifest.failed);
    assert!(manifest.failed[0].reason.contains("BACKUP_LOCK_WAIT"), "{:?}", manifest.failed);
    assert_eq!(prune_backups(&agent, true).await.unwrap_err().exit, Exit::Refused, "the last complete backup remains");
    let refused = take(&agent_in(&server, &store, &[&changes[1..], &[("BACKUP_DATABASES", "held")]].concat())).await.unwrap_err();
    assert!(refused.passing, "with one database the whole attempt fails: {refused}");

    let say = |arguments: &[&str]| ended(program(&server, &store, &changes, arguments), &store);
    let (status, text) = say(&["run"]);
    assert!(status == 74 && text.contains("the database held FAILED"), "{status}: {text}");
    let (status, text) = say(&["show"]);
    assert!(
        status == 0
            && text.contains("partial")
            && text.contains("the database held FAILED")
            && text.contains("closed: it refuses"),
        "{text}"
    );
    let reader = reader(&agent.store, &manifest);
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed && verdict.left_out.iter().any(|line| line.contains("held FAILED")), "{verdict:?}");
    keeper.execute("ROLLBACK").await.unwrap();
    assert_eq!(say(&["run"]).0, 0);
    prune_backups(&agent, false).await.unwrap();
    let catalogue = agent.catalogue().await.unwrap();
    assert!(catalogue.backups().count() > 0 && catalogue.backups().all(|(manifest, _)| manifest.is_complete()));
}

/// A role is created every moment; the databases need none of them.
#[tokio::test(flavor = "multi_thread")]
async fn roles_created_and_dropped_do_not_fail_a_backup() {
    let postgres = Postgres::start(PostgresOptions::throwaway()).await.unwrap();
    let server = source(&postgres.url());
    for name in ["one", "two"] {
        postgres.create_database(name).await.unwrap();
    }
    let mut session = connect(&server).await;
    session.execute("CREATE ROLE churn_0").await.unwrap();
    let churning = tokio::spawn(async move {
        for number in 0.. {
            let change = format!("CREATE ROLE churn_{}; DROP ROLE churn_{number}", number + 1);
            session.execute(AssertSqlSafe(change)).await.unwrap();
        }
    });
    let agent = agent_in(&server, &store_settings().await, &[("BACKUP_DATABASES", ""), ("BACKUP_ATTEMPTS", "1")]);
    let taken = take(&agent).await;
    churning.abort();
    assert_eq!(taken.unwrap().databases.len(), 3);
}

/// Values whose format depends on a setting of the database, checks that read another table, and tables of an extension that
/// refer to each other.
#[tokio::test(flavor = "multi_thread")]
async fn settings_precede_rows_and_in_order_keeps_the_order() {
    let (origin, mut session) = database().await;
    let script = "CREATE TABLE z_words (word text PRIMARY KEY); INSERT INTO z_words VALUES ('yes');
        CREATE FUNCTION known(w text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM public.z_words WHERE word = w); END';
        CREATE TABLE zz_uses (word text CHECK (known(word))); INSERT INTO zz_uses SELECT 'yes' FROM generate_series(1, 100000);
        CREATE FUNCTION said(w text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT FROM public.zz_uses WHERE word = w); END';
        CREATE TABLE zz_words_of_words (word text CHECK (said(word))); INSERT INTO zz_words_of_words VALUES ('yes'), ('yes');
        CREATE TABLE dated (at text CHECK (at::date > '2020-01-01')); SET datestyle = 'ISO, DMY'; INSERT INTO dated VALUES ('31-12-2025')";
    session.execute(script).await.unwrap();
    session.execute(AssertSqlSafe(format!("ALTER DATABASE {} SET statement_timeout = '500ms'", origin.database))).await.unwrap();
    session
        .execute(AssertSqlSafe(format!("ALTER DATABASE {} SET default_transaction_read_only = on", origin.database)))
        .await
        .unwrap();
    session
        .execute(AssertSqlSafe(format!("ALTER DATABASE {} SET idle_session_timeout = '500ms'", origin.database)))
        .await
        .unwrap();
    session.execute(AssertSqlSafe(format!("ALTER DATABASE {} SET check_function_bodies = off", origin.database))).await.unwrap();
    session.execute("ALTER TABLE dated DROP CONSTRAINT dated_at_check").await.unwrap();
    let store = store_settings().await;
    let agent = agent_in(&origin, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    let (server, name) = (other_server().await, format!("ordered_{:08x}", random()));
    let options = |name: &str, in_order| restore::RestoreOptions { jobs: 8, in_order, ..full(&server, name) };
    let stock = format!("{name}_stock");
    // Many sessions fill the table that uses the words first. Its refused rows are written again after the words.
    let many = format!("{name}_many");
    for (name, in_order) in [(&name, true), (&many, false)] {
        restore::restore_database(&reader, &opened, &options(name, in_order), &CancellationToken::new()).await.unwrap();
    }
    let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), &origin.database, &stock], &[]);
    assert!(done, "{text}");
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
    for name in [name, many, stock] {
        let mut restored = connect(&server.with_database(&name)).await;
        restored.execute("SET statement_timeout = 0; SET idle_session_timeout = 0").await.unwrap();
        let counted = "SELECT (SELECT count(*) FROM zz_uses), (SELECT count(*) FROM zz_words_of_words)";
        let rows: (i64, i64) = sqlx::query_as(counted).fetch_one(&mut restored).await.unwrap();
        assert_eq!(rows, (100_000, 2), "{name}");
    }
}
