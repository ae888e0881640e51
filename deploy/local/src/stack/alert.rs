//! `make alert`: a rule that is true, so that an alert takes the whole way from Prometheus to a chat.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    layout::StackLayout,
    readiness::answers,
    supervisor::{Supervisor, running},
};

const ALERT: &str = "Demonstration";
/// How the bot marks an alert that fires and one that is over.
const SIGNS: [&str; 2] = ["🔴", "🟢"];
/// Prometheus evaluates every few seconds, and Alertmanager waits a moment for others of the group.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
/// Trades a second; live traffic has many more.
const THRESHOLD: f64 = 0.05;
/// For some seconds after it reloads its rules, Prometheus has no Alertmanager. An alert that begins or ends then is
/// sent a minute later.
const SETTLED: &str = "10s";
const POLL: Duration = Duration::from_millis(200);

/// Triggers the alert and returns when the chat shows it. With `end`, ends it and returns when the chat shows the end.
pub async fn alert(layout: &StackLayout, end: bool) -> Result<()> {
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
    let [firing, over] = SIGNS;
    let sign = if end { over } else { firing };
    if end && !rules.exists() {
        bail!("{} is not there: `make alert` writes it, and no alert fires without it", rules.display());
    }
    // A rule that is only taken away leaves its alert firing in Alertmanager until it expires, minutes later.
    let viewer = endpoints["viewer"].as_str().context("endpoints.json names no viewer")?;
    fs::write(&rules, rule(if end { f64::INFINITY } else { THRESHOLD }, viewer))
        .with_context(|| format!("writing {}", rules.display()))?;
    let prometheus = Supervisor::of(layout);
    prometheus.signal("prometheus", "HUP").await?;
    println!("{ALERT}: the rule is {}; now it goes", if end { "false" } else { "true" });
    println!("  Prometheus    {}/alerts", endpoints["prometheus"].as_str().unwrap_or_default());
    println!("  Alertmanager  {}", endpoints["alertmanager"].as_str().unwrap_or_default());
    println!("  the chat      {telegram}   <- open this");
    let world = format!("{telegram}/control/world");
    let deadline = std::time::Instant::now() + ARRIVES_WITHIN;
    while !answers(&world, |body| shows(body, sign)).await {
        if std::time::Instant::now() >= deadline {
            bail!("the chat does not show it after {} s; see {}", ARRIVES_WITHIN.as_secs(), layout.log("alertbot").display());
        }
        tokio::time::sleep(POLL).await;
    }
    if end {
        fs::remove_file(&rules).with_context(|| format!("removing {}", rules.display()))?;
        prometheus.signal("prometheus", "HUP").await?;
    }
    println!("{}", if end { "the chat shows that the alert ended" } else { "the chat shows the alert; `make calm` ends it" });
    Ok(())
}

/// Whether the last message or edit about the alert contains this sign. A picture contains none.
fn shows(world: &str, sign: &str) -> bool {
    let Ok(world) = serde_json::from_str::<Value>(world) else { return false };
    let messages = world["chats"].as_array().into_iter().flatten().filter_map(|chat| chat["messages"].as_array()).flatten();
    let text = |message: &Value| message["text"].as_str().unwrap_or_default().to_owned();
    let signed =
        messages.filter(|message| text(message).contains(ALERT) && SIGNS.iter().any(|sign| text(message).contains(sign)));
    let newest = signed.max_by_key(|message| (message["edited"].as_i64().or(message["date"].as_i64()), message["id"].as_i64()));
    newest.is_some_and(|message| text(message).contains(sign))
}

/// A threshold on a figure that is alive, so that its picture shows something.
fn rule(threshold: f64, viewer: &str) -> String {
    let threshold = if threshold.is_finite() { threshold.to_string() } else { "+Inf".to_owned() };
    let expression = format!("sum(rate(exchange_market_trades_total[1m])) > {threshold}");
    let rule = json!({"groups": [{"name": "demonstration", "rules": [{
        "alert": ALERT,
        "expr": expression,
        "for": SETTLED,
        "keep_firing_for": SETTLED,
        "labels": {"severity": "critical", "team": "trading"},
        "annotations": {
            "summary": format!("The markets trade {{{{ $value | printf \"%.2f\" }}}} times a second, above {THRESHOLD}"),
            "description": "Nothing is wrong: `make alert` wrote this rule to show the way of an alert. `make calm` removes it.",
            "runbook_url": format!("{viewer}/runbooks/Watchdog.md"),
            "dashboard_url": format!("{viewer}/d/markets?viewPanel=102"),
        },
    }]}]});
    rule.to_string()
}
