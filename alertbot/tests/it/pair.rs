//! A pair of Alertmanagers that do not see each other: each tells everything, and people hear it once.

use jiff::Timestamp;
use local_parts::{Alertmanager, AlertmanagerOptions};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{Bot, OPERATIONS, Settings, message_with, until},
    silences::{configuration, posted},
};

#[tokio::test]
async fn what_both_of_a_partitioned_pair_tell_is_told_once() {
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let bot = Bot::start(&Settings::new(&emulator, &folder)).await;
    let options = || AlertmanagerOptions { configuration: configuration(&bot.url), ..Default::default() };
    let pair = [Alertmanager::start(options()).await.unwrap(), Alertmanager::start(options()).await.unwrap()];
    let heard = async |outcome: &str| {
        bot.metric(&format!("alertbot_webhooks_total{{alertmanager=\"main\",outcome=\"{outcome}\"}}")).await
    };
    // Prometheus sends the same alert, with the same beginning, to both.
    let mut alerts = posted("DiskFull", "critical", None);
    alerts[0]["startsAt"] = Timestamp::now().to_string().into();
    for alertmanager in &pair {
        alertmanager.post_alerts(&alerts).await.unwrap();
    }
    message_with(&emulator, OPERATIONS, &["DiskFull"]).await;
    until("both have told it", async || heard("opened").await + heard("repeated").await >= 2.0).await;

    // The second one hears of the end later than the first.
    let mut ended = alerts.clone();
    ended[0]["endsAt"] = Timestamp::now().to_string().into();
    pair[0].post_alerts(&ended).await.unwrap();
    until("the end is edited in", async || emulator.messages(OPERATIONS)[0].edited.is_some()).await;
    let before = heard("repeated").await;
    pair[1].post_alerts(&ended).await.unwrap();
    until("the second one told it too", async || heard("repeated").await > before).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "one message, one sound: {:?}", emulator.messages(OPERATIONS));
    assert_eq!(bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await, 0.0);
}
