//! Side by side with Alertmanager's own Telegram notifier: alert in to call out there, webhook in to call out here.

use anyhow::{Result, ensure};
use local_parts::{Alertmanager, AlertmanagerOptions};
use serde_json::json;
use telegram_emulator::Seed;

use crate::{
    measure::{CHATS, chat, one, percentile, settings, telegram, until_called},
    program::Program,
};

/// Every chat has a receiver, since Alertmanager's notifier names one chat.
fn configuration(api_url: &str) -> String {
    let token = &Seed::demo().bots[1].token;
    let (mut routes, mut receivers) = (String::new(), String::new());
    for number in 0..CHATS {
        routes += &format!("    - {{matchers: ['chat=\"c{number}\"'], receiver: c{number}}}\n");
        receivers += &format!(
            "  - name: c{number}\n    telegram_configs:\n      - {{bot_token: '{token}', api_url: '{api_url}', chat_id: {}}}\n",
            chat(number)
        );
    }
    format!(
        "route:\n  receiver: c0\n  group_by: [alertname]\n  group_wait: 0s\n  group_interval: 1h\n  routes:\n{routes}receivers:\n{receivers}"
    )
}

/// The bot's median over Alertmanager's.
pub async fn ratio(count: usize) -> Result<f64> {
    let (emulator, folder) = (telegram().await?, tempfile::tempdir()?);
    let program = Program::start(&mut settings(&emulator, &folder), &[]).await;
    let options = AlertmanagerOptions { configuration: configuration(&emulator.url()), ..Default::default() };
    let alertmanager = Alertmanager::start(options).await?;
    let (mut ours, mut natives) = (Vec::new(), Vec::new());
    // In turns, so that what else happens on the machine befalls both.
    for number in 0..count {
        let name = format!("Ours{number:05}x");
        let sent = (name.clone(), emulator.look(|world| world.now()));
        ensure!(program.post(&one(&name, "critical", number % CHATS)).await == Some(200), "a webhook was not taken");
        ours.extend(until_called(&emulator, &[sent]).await?);
        let name = format!("Native{number:05}x");
        let sent = (name.clone(), emulator.look(|world| world.now()));
        let labels = json!({"alertname": name, "severity": "critical", "chat": format!("c{}", number % CHATS)});
        alertmanager.post_alerts(&json!([{"labels": labels, "annotations": {"summary": "is wrong"}}])).await?;
        natives.extend(until_called(&emulator, &[sent]).await?);
    }
    ours.sort_by(f64::total_cmp);
    natives.sort_by(f64::total_cmp);
    let (ours, natives) = (percentile(&ours, 50), percentile(&natives, 50));
    println!("alert in to call out, p50: {ours:.1} ms, Alertmanager's own notifier {natives:.1} ms");
    Ok(ours / natives.max(1.0))
}
