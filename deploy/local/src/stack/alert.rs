//! `make alert`: a rule that is true, so that an alert takes the whole way from Prometheus to a chat.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    layout::Layout,
    readiness::answers,
    supervisor::{Supervisor, running},
};

const ALERT: &str = "Demonstration";
/// Prometheus evaluates every few seconds, and Alertmanager waits a moment for others of the group.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// Provokes the alert and returns when the chat shows it; with `end`, ends it, and returns when the chat says so.
pub async fn alert(layout: &Layout, end: bool) -> Result<()> {
    if running(&layout.supervisor_pid_file(), &layout.supervisor_configuration()).is_none() {
        bail!("nothing is up: `make up` starts everything, or `make run` in another terminal");
    }
    let endpoints: Value = {
        let file = layout.endpoints();
        let text = fs::read(&file).with_context(|| format!("reading {}: is everything ready yet?", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))?
    };
    let telegram = endpoints["telegram"].as_str().context("endpoints.json names no Telegram")?;
    let rules = layout.demonstration_rules();
    let word = if end { "🟢" } else { "🔴" };
    if end {
        fs::remove_file(&rules).with_context(|| format!("removing {}: `make alert` writes it", rules.display()))?;
    } else {
        fs::write(&rules, rule()).with_context(|| format!("writing {}", rules.display()))?;
    }
    Supervisor::of(layout).signal("prometheus", "HUP").await?;
    println!("{ALERT}: {}; now it goes", if end { "the rule is gone" } else { "the rule is true" });
    println!("  Prometheus    {}/alerts", endpoints["prometheus"].as_str().unwrap_or_default());
    println!("  Alertmanager  {}", endpoints["alertmanager"].as_str().unwrap_or_default());
    println!("  the chat      {telegram}   <- open this");
    let world = format!("{telegram}/control/world");
    let deadline = std::time::Instant::now() + ARRIVES_WITHIN;
    while !answers(&world, |body| shows(body, word)).await {
        if std::time::Instant::now() >= deadline {
            bail!("the chat does not show it after {} s; see {}", ARRIVES_WITHIN.as_secs(), layout.log("alertbot").display());
        }
        tokio::time::sleep(POLL).await;
    }
    println!("{}", if end { "the chat shows that it is over" } else { "the chat shows it; `make calm` ends it" });
    Ok(())
}

/// Whether the newest card of the alert begins with this sign.
fn shows(world: &str, sign: &str) -> bool {
    let Ok(world) = serde_json::from_str::<Value>(world) else { return false };
    let messages = world["chats"].as_array().into_iter().flatten().filter_map(|chat| chat["messages"].as_array()).flatten();
    let texts: Vec<&str> = messages.filter_map(|message| message["text"].as_str()).collect();
    texts.iter().rev().find(|text| text.contains(ALERT)).is_some_and(|text| text.contains(sign))
}

/// A threshold on a figure that is alive, so that its picture shows something.
fn rule() -> String {
    let expression = "sum(rate(exchange_market_trades_total[1m])) > 0.05";
    let rule = json!({"groups": [{"name": "demonstration", "rules": [{
        "alert": ALERT,
        "expr": expression,
        "labels": {"severity": "critical", "team": "trading"},
        "annotations": {
            "summary": "The markets trade {{ $value | printf \"%.2f\" }} times a second, above 0.05",
            "description": "Nothing is wrong: `make alert` wrote this rule to show the way of an alert. `make calm` removes it.",
            "runbook_url": "https://exchange.example/runbooks/Watchdog.md",
        },
    }]}]});
    rule.to_string()
}
