//! Databases in every encoding of the server, with every character of it, and bytes that are not valid characters. The restore
//! must equal stock pg_restore of stock pg_dump's archive.

use backup::{
    config::SourceSettings,
    restore::{self, TableName},
};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{by_hand, full, pipe_into_pg_restore},
    program::{ended, program},
    restore::reader,
    support::{connect, database, other_server, random, store_settings},
    twin::tool,
    verify::{drill, options as drill_options, scratch},
};

/// Converts one or two bytes to the database's encoding; null if they are not valid.
const CHARACTERS: &str = r#"
    CREATE FUNCTION conv(b bytea) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        RETURN convert_from(b, getdatabaseencoding()); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
    CREATE TABLE characters (code bytea PRIMARY KEY, value text NOT NULL);
    INSERT INTO characters SELECT * FROM (
        SELECT set_byte('\x00', 0, a), conv(set_byte('\x00', 0, a)) FROM generate_series(128, 255) a
        UNION ALL SELECT set_byte(set_byte('\x0000', 0, a), 1, b), conv(set_byte(set_byte('\x0000', 0, a), 1, b))
        FROM generate_series(128, 255) a, generate_series(161, 254, 3) b WHERE pg_encoding_max_length(pg_char_to_encoding(getdatabaseencoding())) > 1
        ) c WHERE c.conv IS NOT NULL;
    CREATE INDEX characters_value ON characters (value);
    DO $$ DECLARE n text := (SELECT string_agg(value, '' ORDER BY code) FROM (SELECT * FROM characters ORDER BY code DESC LIMIT 3) c); BEGIN
        EXECUTE format('CREATE TABLE %I (%I int, %I text DEFAULT %L)', 't ' || n, 'c' || n, 'd"' || n, n);
        EXECUTE format('INSERT INTO %I (%I) VALUES (1), (2)', 't ' || n, 'c' || n);
        EXECUTE format('COMMENT ON TABLE %I IS %L', 't ' || n, 'about ' || n);
        EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'all of ' || n);
        EXECUTE format('CREATE FUNCTION %I() RETURNS text LANGUAGE sql AS %L', 'f' || n, 'SELECT ' || quote_literal(n));
    END $$"#;

/// Rows as bytes, since a session in UTF-8 cannot represent all of them.
const ROWS: &str = "SELECT coalesce(string_agg(encode(convert_to(c.code::text || c.value, getdatabaseencoding()), 'hex'), ',' ORDER BY code), '') \
    || (SELECT encode(description::bytea, 'hex') FROM (SELECT convert_to(shobj_description(oid, 'pg_database'), getdatabaseencoding()) AS description \
    FROM pg_database WHERE datname = current_database()) d) FROM characters c";

async fn encodings(session: &mut PgConnection) -> Vec<String> {
    let query =
        "SELECT DISTINCT pg_encoding_to_char(n) FROM generate_series(0, 50) n WHERE pg_encoding_to_char(n) <> '' ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(session).await.unwrap()
}

/// Without lines that differ between two dumps.
fn schema(database: &SourceSettings) -> Vec<Vec<u8>> {
    let random: [&[u8]; 3] = [b"\\restrict ", b"\\unrestrict ", b"-- Dumped "];
    let dump = tool("pg_dump", database, &["--schema-only"]);
    let lines = dump.split(|byte| *byte == b'\n').filter(|line| !random.iter().any(|start| line.starts_with(start)));
    lines.map(<[u8]>::to_vec).collect()
}

fn assert_same(found: &SourceSettings, expected: &SourceSettings) {
    assert_eq!(schema(found), schema(expected), "{}", found.database);
    // psql, since a session in UTF-8 cannot connect to every database.
    let rows = |place: &SourceSettings| tool("psql", place, &["--no-psqlrc", "--tuples-only", "--no-align", "--command", ROWS]);
    assert_eq!(rows(found), rows(expected), "{}", found.database);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_is_restored_byte_for_byte() {
    let (source, mut session) = database().await;
    let (server, unique) = (other_server().await, format!("{:08x}", random()));
    let mut names = Vec::new();
    for encoding in encodings(&mut session).await {
        let name = format!("enc_{}_{unique}", encoding.to_lowercase());
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
        // Some encodings exist only for clients.
        if session.execute(AssertSqlSafe(create.clone())).await.is_ok() {
            tool(
                "psql",
                &source.with_database(&name),
                &["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", CHARACTERS],
            );
            names.push((name, create));
        }
    }
    assert!(names.len() >= 30, "{names:?}");
    let store = store_settings().await;
    let databases: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
    let agent = agent_in(&source, &store, &[("BACKUP_DATABASES", &databases.join(","))]);
    let manifest = take(&agent).await.unwrap();
    assert!(manifest.is_complete(), "{:?}", manifest.failed);
    let reader = reader(&agent.store, &manifest);
    for (name, create) in &names {
        let original = source.with_database(name);
        let opened = restore::open_database(&reader, Some(name)).await.unwrap();
        let restored = format!("{name}_again");
        restore::restore_database(&reader, &opened, &full(&server, &restored), &CancellationToken::new())
            .await
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_same(&server.with_database(&restored), &original);
        // The script without the agent, compared with stock pg_restore: for a few encodings, since each takes a second.
        if ["sql_ascii", "win1252", "latin1", "euc_jp", "utf8"].iter().any(|few| name.starts_with(&format!("enc_{few}_"))) {
            let (done, text) = by_hand(&store, &server, &[&manifest.id.to_string(), name, &format!("{name}_stock")], &[]);
            assert!(done, "{name}: {text}");
            assert_same(&server.with_database(&format!("{name}_stock")), &original);
            let control = server.with_database(&format!("{name}_control"));
            let create = create.replace(name.as_str(), &control.database);
            connect(&server).await.execute(AssertSqlSafe(create)).await.unwrap();
            pipe_into_pg_restore(&control, &tool("pg_dump", &original, &["--format=custom"]));
            assert_eq!(schema(&control), schema(&server.with_database(&restored)), "{name}");
        }
    }
    let verdict = drill(&reader, &drill_options(scratch(), &[])).await;
    assert!(verdict.passed, "{:?}", verdict.faults);
}

/// A table is selected by its readable name, in any encoding of the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_selected_by_name_in_any_encoding() {
    let (source, mut session) = database().await;
    let (store, name) = (store_settings().await, format!("koi_{:08x}", random()));
    session
        .execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'KOI8R' LOCALE 'C'")))
        .await
        .unwrap();
    let koi = source.with_database(&name);
    connect(&koi)
        .await
        .execute("CREATE TABLE \"счета\" (\"имя\" text); INSERT INTO \"счета\" VALUES ('да'); CREATE TABLE other (a int)")
        .await
        .unwrap();
    let agent = agent_in(&koi, &store, &[]);
    let manifest = take(&agent).await.unwrap();
    let reader = reader(&agent.store, &manifest);
    let opened = restore::open_database(&reader, None).await.unwrap();
    assert!(
        opened.contents.tables.iter().any(|table| table.name == "счета" && table.columns == ["имя"]),
        "{:?}",
        opened.contents.tables
    );
    let (server, target) = (other_server().await, format!("{name}_part"));
    let mut options = full(&server, &target);
    options.selection.tables = vec!["счета".parse::<TableName>().unwrap()];
    restore::restore_database(&reader, &opened, &options, &CancellationToken::new()).await.unwrap();
    let text: String = sqlx::query_scalar("SELECT \"имя\" FROM \"счета\"")
        .fetch_one(&mut connect(&server.with_database(&target)).await)
        .await
        .unwrap();
    assert_eq!(text, "да");
}

/// The server cannot convert this encoding to UTF-8, so no session in UTF-8 opens the database that the address names.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_name_a_database_without_conversion() {
    let (server, mut session) = database().await;
    let (store, name) = (store_settings().await, format!("mule_{:08x}", random()));
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'MULE_INTERNAL' LOCALE 'C'");
    session.execute(AssertSqlSafe(create)).await.unwrap();
    let mule = server.with_database(&name);
    tool("psql", &mule, &["--no-psqlrc", "--command", "CREATE TABLE t AS SELECT generate_series(1, 5) AS a"]);
    let changes = [("BACKUP_DATABASES", name.as_str())];
    for arguments in [["check"], ["run"]] {
        let (status, text) = ended(program(&mule, &store, &changes, &arguments), &store);
        assert_eq!(status, 0, "{arguments:?}: {text}");
    }
}
