//! Our reader reads the archives of stock pg_dump, and stock pg_restore reads ours.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use backup::archive::{Contents, END_OF_COPY, block_end, chunk, large_object_start, large_objects_start, rows_start};
use local_parts::{find_program, shared_postgres};
use sqlx::{Connection, Executor, PgConnection};

const SCHEMA: &str = r#"
    CREATE TABLE "odd ""name" (id int PRIMARY KEY, "select" text, twice int GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE nothing ();
    CREATE TABLE empty (a int);
    CREATE SEQUENCE counter; SELECT setval('counter', 41);
    CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM "odd ""name";
    COMMENT ON TABLE empty IS 'zażółć';
    SELECT lo_create(4711);
"#;

async fn database() -> (String, PgConnection) {
    let url = shared_postgres().await.unwrap().create_database().await.unwrap();
    (url.clone(), PgConnection::connect(&url).await.unwrap())
}

fn dump(url: &str) -> Vec<u8> {
    let output = Command::new(find_program("pg_dump").unwrap())
        .args(["--format=custom", "--compress=0", "--encoding=UTF8", "--dbname", url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn a_pg_dump_archive_is_written_back_byte_for_byte() {
    let (url, mut session) = database().await;
    session.execute(SCHEMA).await.unwrap();
    let dumped = dump(&url);
    let mut rest = dumped.as_slice();
    let contents = Contents::read(&mut rest).unwrap();
    assert_eq!(contents.to_bytes(), dumped[..dumped.len() - rest.len()]);
    // The first block follows immediately.
    assert_eq!(rest[0], 1);
    let tables: Vec<_> =
        contents.entries.iter().filter(|entry| entry.is_table_data()).map(|entry| entry.copy_target().unwrap()).collect();
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    let relations: Vec<_> = tables.iter().map(|target| (text(&target.relation), text(&target.columns))).collect();
    assert_eq!(relations, [("public.empty", "(a)"), ("public.nothing", ""), ("public.\"odd \"\"name\"", "(id, \"select\")")]);
    assert!(contents.entries.iter().any(|entry| entry.is_sequence_value() && entry.tag == "counter"));
    assert_eq!(contents.entries.iter().filter(|entry| entry.is_large_objects()).count(), 1);
}

#[tokio::test]
async fn pg_restore_reads_our_blocks_from_a_pipe() {
    let (url, mut session) = database().await;
    session.execute(SCHEMA).await.unwrap();
    let contents = Contents::read(&mut dump(&url).as_slice()).unwrap();
    let header = &contents.header;

    let mut archive = contents.to_bytes();
    for entry in contents.with_data() {
        if entry.is_large_objects() {
            archive.extend(large_objects_start(header, entry.dump_id));
            archive.extend(large_object_start(header, 4711));
            archive.extend(chunk(header, 3));
            archive.extend(b"\0ab");
            archive.extend(block_end(header));
        } else {
            archive.extend(rows_start(header, entry.dump_id));
            let rows: &[&[u8]] = match &*entry.tag.lossy() {
                // In several chunks, split anywhere.
                "odd \"name" => &[b"1\ton", b"e\n2\t\\N\n"],
                "nothing" => &[b"\n\n"],
                _ => &[],
            };
            for part in rows.iter().chain([&END_OF_COPY]) {
                archive.extend(chunk(header, part.len()));
                archive.extend(*part);
            }
        }
        archive.extend(block_end(header));
    }

    let (target, mut restored) = database().await;
    let mut process = Command::new(find_program("pg_restore").unwrap())
        .args(["--exit-on-error", "--dbname", &target])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(&archive).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let rows: Vec<(i32, Option<String>, i32)> =
        sqlx::query_as("SELECT * FROM \"odd \"\"name\" ORDER BY 1").fetch_all(&mut restored).await.unwrap();
    assert_eq!(rows, [(1, Some("one".to_owned()), 2), (2, None, 4)]);
    let told: (i64, i64, i64, Vec<u8>) =
        sqlx::query_as("SELECT nextval('counter'), (SELECT count FROM seen), (SELECT count(*) FROM nothing), lo_get(4711)")
            .fetch_one(&mut restored)
            .await
            .unwrap();
    assert_eq!(told, (42, 2, 2, b"\0ab".to_vec()));
}
