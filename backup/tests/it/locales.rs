//! Databases whose locale is not the server's: of ICU (PostgreSQL 15 and newer), and built in (17 and newer). The agent and the
//! script without the agent create them with the same provider, locale and rules.

use backup::{config::SourceSettings, restore};
use sqlx::{AssertSqlSafe, Executor};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{agent_in, take},
    completeness::{by_hand, full},
    restore::reader,
    support::{connect, database, other_server, random, store_settings},
    twin::tool,
};

/// Options of CREATE DATABASE, the oldest release that has them, and words of pg_dump that they lead to.
const LOCALES: [(&str, u32, &[&str]); 3] = [
    ("LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk' LOCALE 'C'", 150_000, &["icu", "de-u-co-phonebk"]),
    ("LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&a < g' LOCALE 'C'", 160_000, &["icu", "&a < g"]),
    ("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'", 170_000, &["builtin", "C.UTF-8"]),
];

/// The options of pg_dump's CREATE DATABASE statement.
fn created(place: &SourceSettings) -> String {
    let dump = String::from_utf8(tool("pg_dump", place, &["--schema-only", "--create"])).unwrap();
    let statement = dump.lines().find(|line| line.starts_with("CREATE DATABASE ")).unwrap();
    statement.split_once(" WITH ").unwrap().1.to_owned()
}

async fn version(place: &SourceSettings) -> (u32, bool) {
    let query =
        "SELECT current_setting('server_version_num')::int4, EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu')";
    let (version, icu): (i32, bool) = sqlx::query_as(query).fetch_one(&mut connect(place).await).await.unwrap();
    (version.unsigned_abs(), icu)
}

#[tokio::test(flavor = "multi_thread")]
async fn locales_of_every_provider_are_restored() {
    let (server, _) = database().await;
    let (target, store) = (other_server().await, store_settings().await);
    let (version, icu) = version(&server).await;
    for (options, since, words) in LOCALES {
        if version < since || !icu && options.contains("icu") {
            println!("skipped: {options}: this server has version {version}, and {} ICU", if icu { "has" } else { "lacks" });
            continue;
        }
        let name = format!("locale_{:08x}", random());
        let make = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {options}");
        connect(&server).await.execute(AssertSqlSafe(make)).await.unwrap();
        let source = server.with_database(&name);
        connect(&source)
            .await
            .execute("CREATE TABLE words (word text); INSERT INTO words VALUES ('g'), ('b'), ('ä')")
            .await
            .unwrap();
        let expected = created(&source);
        assert!(words.iter().all(|word| expected.contains(word)), "{expected}");

        let agent = agent_in(&source, &store, &[]);
        let manifest = take(&agent).await.unwrap();
        let reader = reader(&agent.store, &manifest);
        let opened = restore::open_database(&reader, None).await.unwrap();
        let again = format!("{name}_again");
        restore::restore_database(&reader, &opened, &full(&target, &again), &CancellationToken::new()).await.unwrap();
        let stock = format!("{name}_stock");
        let (done, text) = by_hand(&store, &target, &[&manifest.id.to_string(), &name, &stock], &[]);
        assert!(done, "{text}");
        for restored in [again, stock] {
            assert_eq!(created(&target.with_database(&restored)), expected, "{restored}");
        }
    }
}
