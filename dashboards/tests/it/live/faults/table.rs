//! The rows of the fault table. Rows of a group begin together: they are long, and none is the cause of another.

use std::time::Duration;

use super::{
    Act::{self, CrashLoop, Forget, Hang, RestingOrders, Serve, Stop, StopAndForget},
    Fault,
};

/// The alert bot's own incident: no Watchdog arrives.
pub const SILENT: &str = "AlertmanagerSilent";
/// Prometheus ends the series of a target that left service discovery late: discovery and scrapes are exchanged every 5 s each, and it
/// waits for two intervals of the scrape and a tenth, in case the target returns.
const FORGOTTEN: u64 = 21;
/// The Watchdog's longest absence, `watchdog.within` of the alert bot in a run.
const WATCHDOG: u64 = 300;
/// Alertmanager repeats an alert of a Prometheus that has stopped until the end that Prometheus sent with it: four of its resends of a
/// minute later (`rules/manager.go`). Only then the Watchdog ends.
const REPEATED: u64 = 240;
/// Four scrapes at 30 s see three starts; one scrape may meet a process that does not run.
const RESTARTS: u64 = 150;

const fn row(name: &'static str, act: Act, alert: &'static str, window: u64) -> Fault {
    Fault { name, act, alert, about: "", window: Duration::from_secs(window), lingers: false }
}

const fn about(text: &'static str, row: Fault) -> Fault {
    Fault { about: text, ..row }
}

const fn lingering(row: Fault) -> Fault {
    Fault { lingers: true, ..row }
}

/// The table of `make test`.
///
/// The rows of other namespaces begin with the first one: neither suppresses the other.
pub const SHORT: &[&[Fault]] = &[
    &[
        row("both servers stopped", Stop(&["serve", "serve-2"]), "ExchangeNoLeader", 0),
        row("crossed book", Serve(CROSSED), "ExchangeBookCrossed", 0),
        row("one of two namespaces gone", Forget(super::discovery::SECOND), "MonitoringNamespaceGone", FORGOTTEN),
    ],
    &[row("PostgreSQL stopped", Stop(&["postgres"]), "PostgresDown", 0)],
];

/// The table of `make soak`.
///
/// Prometheus marks the series of a target as stale at its next scrape, so a stopped part needs no window.
pub const LONG: &[&[Fault]] = &[
    &[row("both servers stopped", Stop(&["serve", "serve-2"]), "ExchangeNoLeader", 0)],
    &[row("PostgreSQL stopped", Stop(&["postgres"]), "PostgresDown", 0)],
    &[row("HAProxy dead", Stop(&["haproxy"]), "HaproxyDown", 0)],
    &[row("S3 stopped", Stop(&["object-store"]), "ObjectStoreDown", 0)],
    &[row("worker stopped", Stop(&["worker"]), "ExchangeNoProjector", 0)],
    &[row("worker hangs", Hang(&["worker"]), "ExchangeNoProjector", 5)],
    &[row("one of two servers stopped", Stop(&["serve-2"]), "ExchangeTargetDown", 0)],
    &[row("the proxy dead", Stop(&["nginx"]), "NginxDown", 0)],
    &[row("probe stopped", Stop(&["probe"]), "ExchangeProbeFailing", 0)],
    &[row("alert bot stopped", Stop(&["alertbot"]), "AlertbotDown", 0)],
    &[row("Prometheus stopped", Stop(&["prometheus"]), SILENT, REPEATED + WATCHDOG)],
    &[row("Alertmanager stopped", Stop(&["alertmanager"]), SILENT, WATCHDOG)],
    &[
        row("relay dead", Stop(&["relay"]), "LogshipTargetDown", 0),
        row("backup agent stopped", Stop(&["backup"]), "BackupTargetDown", 0),
    ],
    &[
        row("shipper dead", Stop(&["shipper"]), "LogshipNothingShipped", 600),
        row("backup agent stopped and removed", StopAndForget("backup", "backup"), "BackupTargetDown", FORGOTTEN),
        row("S3 removed from discovery", Forget("object-store"), "MonitoringBlind", FORGOTTEN),
        row("one of two namespaces gone", Forget(super::discovery::SECOND), "MonitoringNamespaceGone", FORGOTTEN),
        row("crossed book", Serve(CROSSED), "ExchangeBookCrossed", 0),
        about("/imposter", row("disk nearly full", Serve(FULL), "NodeFilesystemNearlyFull", 0)),
        row("no trades", RestingOrders, "ExchangeNoTrades", 300),
        lingering(row("crash loop, scraped every 30 s", CrashLoop("watch"), "ProgramRestarting", RESTARTS)),
    ],
];

const CROSSED: &str = "exchange_market_spread_ratio{symbol=\"IMPOSTER\"} -0.01\n";
const FULL: &str = "node_filesystem_avail_bytes{fstype=\"ext4\",mountpoint=\"/imposter\"} 10\n\
                    node_filesystem_size_bytes{fstype=\"ext4\",mountpoint=\"/imposter\"} 100\n";
