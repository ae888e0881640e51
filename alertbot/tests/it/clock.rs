//! A clock that was set while the bot was down: forward, and each overdue step is taken once; back, and nothing waits longer.
//!
//! The machine's clock cannot be set here. Setting it back by a day is the same as moving everything that is written down a
//! day ahead.

use jiff::Timestamp;
use sqlx::{ConnectOptions, Executor, sqlite::SqliteConnectOptions};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, BEHRANG, Bot, OPERATIONS, Settings, message_with, until},
    payloads::single,
};

const REST: &str = "
people:
  - {name: ada, telegram: 11, role: admin}
  - {name: behrang, telegram: 12}
escalations:
  - name: calls
    steps:
      - {after: 3s, people: [ada], by: [telegram]}
      - {after: 12h, people: [behrang], by: [telegram]}
routes:
  - {name: everything, chats: [operations], escalation: calls}
";
const DAY: i64 = 86_400_000;

/// Moves what is written down, as if the clock had been set by as much the other way.
async fn move_everything(settings: &Settings, milliseconds: i64) {
    let mut database = SqliteConnectOptions::new().filename(&settings.store).connect().await.unwrap();
    let by = milliseconds;
    let seconds = by / 1000;
    let moved = |path: &str| {
        let is = format!("document ->> '{path}'");
        // Microseconds are lost, which nobody misses.
        format!("'{path}', iif({is} IS NULL, NULL, strftime('%Y-%m-%dT%H:%M:%SZ', {is}, '{seconds:+} seconds'))")
    };
    let paths = ["$.opened_at", "$.sounded_at", "$.escalation.next_at", "$.escalation.stepped_at"].map(moved).join(", ");
    for statement in [
        format!("UPDATE audit SET at = at + {by}"),
        format!(
            "UPDATE outbox SET since = since + {by}, not_before = not_before + {by}, overdue_at = overdue_at + {by}, called_at = called_at + {by}"
        ),
        format!("UPDATE blocked SET since = since + {by}, until = until + {by}"),
        format!(
            "UPDATE incidents SET opened_at = opened_at + {by}, due_at = due_at + {by}, document = json_set(document, {paths})"
        ),
    ] {
        database.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
}

#[tokio::test]
async fn set_back_by_a_day_nothing_waits_a_day_longer() {
    let (mut emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = REST.into();
    emulator.refuse_connections().await;
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    bot.stop().await;
    move_everything(&settings, DAY).await;
    emulator.listen().await.unwrap();
    let bot = Bot::start(&settings).await;
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    message_with(&emulator, ADA, &["DiskFull"]).await;
    bot.stop().await;
    // Once is enough: the times are not moved a second time.
    let _bot = Bot::start(&settings).await;
    until("it is awake", async || !emulator.calls().is_empty()).await;
    assert!(emulator.messages(BEHRANG).is_empty(), "his time has not come");
}

#[tokio::test]
async fn set_forward_by_a_day_one_overdue_step_is_taken_and_not_all_at_once() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let mut settings = Settings::new(&emulator, &folder);
    settings.rest = REST.replace("after: 3s", "after: 6h");
    let bot = Bot::start(&settings).await;
    assert_eq!(bot.post(&single("DiskFull", "critical", "firing", Timestamp::now())).await, 200);
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    bot.stop().await;
    move_everything(&settings, -DAY).await;
    let bot = Bot::start(&settings).await;
    message_with(&emulator, ADA, &["DiskFull"]).await;
    bot.stop().await;
    assert!(emulator.messages(BEHRANG).is_empty(), "twelve hours after ada");
}
