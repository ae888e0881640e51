//! More than one Alertmanager: a pair that does not see each other tells everything twice, and people hear it once; two clusters
//! have nothing to do with each other.

use jiff::Timestamp;
use local_parts::{Alertmanager, AlertmanagerOptions};
use telegram_emulator::{Emulator, Seed};

use crate::{
    bot::{ADA, Bot, OPERATIONS, ROUTES, Settings, message_with, until},
    people::{answer_to, button},
    silences::{configuration, posted, silences},
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
    until("both have sent it", async || heard("opened").await + heard("repeated").await >= 2.0).await;

    // The second one receives the end later than the first.
    let mut ended = alerts.clone();
    ended[0]["endsAt"] = Timestamp::now().to_string().into();
    pair[0].post_alerts(&ended).await.unwrap();
    until("the end is edited in", async || emulator.messages(OPERATIONS)[0].edited.is_some()).await;
    let before = heard("repeated").await;
    pair[1].post_alerts(&ended).await.unwrap();
    until("the second one sent it too", async || heard("repeated").await > before).await;
    assert_eq!(emulator.messages(OPERATIONS).len(), 1, "one message, one sound: {:?}", emulator.messages(OPERATIONS));
    assert_eq!(bot.metric("alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}").await, 0.0);
}

/// Two clusters that call a group by the same name: two incidents, each with its own end, and a silence goes where its alert is.
#[tokio::test]
async fn equal_groups_of_two_clusters_are_two_incidents_and_each_is_silenced_in_its_own() {
    const OTHER_TOKEN: &str = "webhook-token-of-the-second-cluster";
    let (emulator, folder) = (Emulator::start(Seed::demo()).await.unwrap(), tempfile::tempdir().unwrap());
    let idle = || AlertmanagerOptions {
        configuration: "route: {receiver: none}\nreceivers: [{name: none}]".to_owned(),
        ..Default::default()
    };
    let clusters = [Alertmanager::start(idle()).await.unwrap(), Alertmanager::start(idle()).await.unwrap()];
    let mut settings = Settings::new(&emulator, &folder);
    settings.secrets = vec![("ALERTBOT_OTHER_TOKEN", OTHER_TOKEN.to_owned())];
    settings.alertmanager = format!(
        "    urls: [\"{}\"]
  - name: second
    webhook_credentials:
      - bearer: ${{ALERTBOT_OTHER_TOKEN}}
    urls: [\"{}\"]
",
        clusters[0].url(),
        clusters[1].url()
    );
    settings.rest = format!(
        "{ROUTES}people:\n  - {{name: ada, telegram: {ADA}, role: admin}}\nincidents:\n  reconcile_every: 1s\n  settle_after_restart: 0s\n"
    );
    let bot = Bot::start(&settings).await;
    let first = configuration(&bot.url);
    let second = first.replace("/webhook/main", "/webhook/second").replace(crate::bot::WEBHOOK_TOKEN, OTHER_TOKEN);
    clusters[0].reload(&first).await.unwrap();
    clusters[1].reload(&second).await.unwrap();

    for (number, cluster) in clusters.iter().enumerate() {
        cluster.post_alerts(&posted("DiskFull", "critical", None)).await.unwrap();
        message_with(&emulator, OPERATIONS, &["DiskFull", &format!("#{}", number + 1)]).await;
    }
    let cards = emulator.messages(OPERATIONS);
    assert_eq!(cards.len(), 2, "{cards:?}");
    let open = "alertbot_open_incidents{phase=\"firing\",severity=\"critical\"}";
    until("both are open", async || bot.metric(open).await == 2.0).await;

    let pressed = emulator.press(ADA, OPERATIONS, cards[1].id, &button(&cards[1], "sil:2:1")).unwrap();
    assert!(answer_to(&emulator, &pressed).await.contains("Silenced until"));
    assert_eq!((silences(&clusters[0]).await.len(), silences(&clusters[1]).await.len()), (0, 1));

    // The first one's end is not the second one's.
    clusters[0].post_alerts(&posted("DiskFull", "critical", Some(Timestamp::now()))).await.unwrap();
    until("the first one has ended", async || emulator.messages(OPERATIONS)[0].text.contains("resolved")).await;
    until("one is open", async || bot.metric(open).await == 1.0).await;
    assert!(!emulator.messages(OPERATIONS)[1].text.contains("resolved"));
}
