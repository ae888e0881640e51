//! The fault table: each fault of a running exchange, from the fault to the message in the emulator, in bounded time.
//!
//! - Allowed time: window of the rule + `for` + scrape + evaluation + `group_wait` + 5 s. The short form allows [`SLOW`] more, since
//!   other tests share its machine.
//! - One message names the cause: until [`WATCHED`] after it, no other incident appears in a chat.

mod chat;
mod discovery;
mod imposter;
mod orders;
mod site;
mod table;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use dashboards::rules::AlertRule;

pub use chat::Chat;
pub use site::Site;
pub use table::{LONG, SHORT};

const SCRAPE: Duration = Duration::from_secs(5);
const EVALUATION: Duration = Duration::from_secs(5);
const GROUP_WAIT: Duration = Duration::from_secs(1);
const MARGIN: Duration = Duration::from_secs(5);
pub const SLOW: Duration = Duration::from_secs(180);
/// Time after the message in which symptoms must stay suppressed: the `for` of most, a scrape and an evaluation.
const WATCHED: Duration = Duration::from_secs(70);
/// Until a part answers again and its alert is over; some fire for five minutes longer than the fault.
const HEALED: Duration = Duration::from_secs(500);
/// Alerts about the machine that the test runs on. They may be true there, whatever the programs do.
pub const OF_THE_MACHINE: &[&str] =
    &["NodeFilesystemNearlyFull", "NodeFilesystemFull", "NodeMemoryLow", "ObjectStoreCapacityLow"];
/// Alerts that look back for longer than a row lasts, so they still show the rows before; and those about speed, which depends on what
/// else runs on the machine.
const OF_THE_ROWS_BEFORE: &[&str] = &[
    "ExchangeLeaderFlapping",
    "ExchangeJobScheduleMissed",
    "ExchangeAcknowledgementBudgetBurnFast",
    "ExchangeAcknowledgementBudgetBurnSlow",
    "ExchangeApiErrorBudgetBurnFast",
    "ExchangeApiErrorBudgetBurnSlow",
    "ExchangeProbeSlow",
    "ExchangeStreamLag",
];
const POLL: Duration = Duration::from_millis(250);

/// What happens.
#[derive(Clone, Copy)]
pub enum Act {
    /// Parts end, and do not start again.
    Stop(&'static [&'static str]),
    /// Parts are alive, and do nothing.
    Hang(&'static [&'static str]),
    /// The targets of a job leave service discovery.
    Forget(&'static str),
    /// A part ends, and the targets of its job leave service discovery.
    StopAndForget(&'static str, &'static str),
    /// A part is killed as soon as it runs.
    CrashLoop(&'static str),
    /// An exporter serves these series; no program of ours can be brought to serve them.
    Serve(&'static str),
    /// Orders rest in the book, and the simulator hangs.
    RestingOrders,
}

/// One row.
pub struct Fault {
    name: &'static str,
    act: Act,
    /// The alert whose message names the cause.
    alert: &'static str,
    /// The message contains this, where several objects have the alert.
    about: &'static str,
    /// Longest range that the alert looks at before it is true.
    window: Duration,
    /// The alert looks back for longer than the table waits for its end.
    lingers: bool,
}

impl Fault {
    fn is_named_by(&self, incident: &chat::Incident) -> bool {
        incident.alert == self.alert && incident.text.contains(self.about)
    }

    fn allowed(&self, alerts: &[AlertRule]) -> Result<Duration> {
        // The alert bot opens this incident without a rule; the window is `watchdog.within`, and it looks each second.
        if self.alert == table::SILENT {
            return Ok(self.window + Duration::from_secs(1) + MARGIN);
        }
        let alert = alerts.iter().find(|alert| alert.alert == self.alert).context("the alert exists")?;
        Ok(self.window + seconds(&alert.wait)? + SCRAPE + EVALUATION + GROUP_WAIT + MARGIN)
    }
}

/// A duration of the rules: a number and one unit.
fn seconds(text: &str) -> Result<Duration> {
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = text.split_at(text.len() - 1);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => bail!("{text:?} has an unknown unit"),
    };
    Ok(Duration::from_secs(number.parse::<u64>()? * factor))
}
