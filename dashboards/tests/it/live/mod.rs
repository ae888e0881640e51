//! Every query of boards, rules and runbooks against the running programs: PostgreSQL, an S3 server, the exchange's server and
//! worker, live traffic, Prometheus with the rules.

mod alert;
mod browser;
mod clicks;
mod faults;
mod lines;
mod prometheus;
mod stack;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use alert::Newcomer;
use dashboards::{
    board::Board,
    declared::{PROGRAMS, Program, program_of},
    expression::named,
    rules, runbook,
};
use prometheus::{Answer, Prometheus};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stack::Stack;

/// Until a series must be there: scheduled jobs run once a minute.
const DEADLINE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_secs(1);
/// For rates: several scrapes, and as long as a busy machine needs for a round of all queries. A picture is drawn once.
const RANGE: &str = "2m";
/// Jobs whose own time may come after the deadline.
const JOBS: &[&str] = &["ledger_check", "snapshot"];

/// Queries that find nothing on a healthy exchange, each with the reason.
const NOTHING: &[(&str, &str)] = &[
    ("overview annotation \"Alerts\"", "no alert fires but the Watchdog"),
    ("markets annotation \"Alerts\"", "no alert fires"),
    ("database annotation \"Alerts\"", "no alert fires"),
    ("nodes annotation \"Alerts\"", "no alert fires"),
    ("objectstore annotation \"Alerts\"", "no alert fires"),
    ("ingress annotation \"Alerts\"", "no alert fires"),
    ("elasticsearch annotation \"Alerts\"", "no alert fires"),
    ("slo annotation \"Alerts\"", "no alert fires"),
    ("exchange annotation \"Alerts\"", "no alert fires"),
    ("probe annotation \"Alerts\"", "no alert about the probe fires"),
    ("exchange annotation \"Changes of leader\"", "the lead is taken once, before Prometheus begins to scrape"),
    ("backup annotation \"Alerts\"", "no alert fires"),
    ("alertbot annotation \"Alerts\"", "no alert about the bot fires"),
    ("logging annotation \"Alerts\"", "no alert about logs fires"),
    ("logging panel 303 \"Growth of streams\" A", "growth is measured once a stream is an hour old"),
    ("exchange panel 702 \"Refused database and unchecked history\" C", "no loss has been declared"),
    ("alertbot panel 205 \"Callbacks of providers\" A", "a run has no provider of SMS"),
    ("alertbot panel 408 \"Age of calendars\" A", "a run has no calendar"),
    ("alertbot panel 409 \"Reads of calendars\" A", "a run has no calendar"),
    ("alertbot panel 410 \"Calendar events without effect\" A", "a run has no calendar"),
    ("AlertbotCalendarStale", "a run has no calendar"),
    ("database panel 205 \"Damaged pages\" A", "the server has no data checksums"),
    ("PostgresChecksumFailures", "the server has no data checksums"),
    ("logging panel 104 \"Days to the low watermark\" A", "growth is measured once a stream is an hour old"),
    ("logging panel 301 \"Days to watermarks\" A", "growth is measured once a stream is an hour old"),
    ("logging panel 304 \"Days to the low watermark, by stream\" A", "growth is measured once a stream is an hour old"),
    ("LogshipWatermarkNear", "growth is measured once a stream is an hour old"),
    ("LogshipWatermarkReached", "growth is measured once a stream is an hour old"),
    ("ElasticsearchDiskLow", "one machine has no exporter of Elasticsearch"),
    ("ElasticsearchHeapHigh", "one machine has no exporter of Elasticsearch"),
];

/// Parts that do not run on one machine, by what a query about them contains, each with the reason.
const ABSENT: &[(&str, &str)] = &[
    ("elasticsearch.*", "a fake takes the place of Elasticsearch"),
    ("fluentbit_", "the development shipper takes the place of Fluent Bit"),
    ("fluent-bit", "the development shipper takes the place of Fluent Bit"),
    ("minio_", "SeaweedFS is the object store"),
    ("pg_replication_lag", "no standby runs"),
    ("node_network_", "a network namespace may have no interface but loopback"),
    ("SeaweedFS_volumeServer_storage_io_error_total", "no disk failed"),
];

/// Alerts that may fire here, each with the reason.
const MAY_FIRE: &[(&str, &str)] = &[
    ("ExchangeAcknowledgementBudgetBurnFast", "a build without optimisation on a busy disk"),
    ("ExchangeAcknowledgementBudgetBurnSlow", "a build without optimisation on a busy disk"),
    ("ExchangeProbeSlow", "a build without optimisation on a busy disk"),
    ("Watchdog", "it always fires: its absence is the alarm"),
];

/// Metrics that a run does not serve, each with the reason.
const NOT_SERVED: &[(&str, &str)] = &[
    ("alertbot_callbacks_total", "a run has no provider of SMS"),
    ("alertbot_calendar_read_timestamp_seconds", "a run has no calendar"),
    ("alertbot_calendar_reads_total", "a run has no calendar"),
    ("alertbot_calendar_skipped_events", "a run has no calendar"),
    ("logship_stream_growth_bytes_per_second", "growth is measured once a stream is an hour old"),
    ("logship_days_to_watermark", "growth is measured once a stream is an hour old"),
    ("logship_stream_days_to_watermark", "growth is measured once a stream is an hour old"),
];

#[tokio::test]
async fn the_running_programs_answer_every_query() {
    let mut stack = Stack::start().await.unwrap_or_else(|error| panic!("{error:#}"));
    let prometheus = Prometheus::at(stack.prometheus());
    let mut faults = run_statements(&stack).await;
    let running = running(&stack);
    let (newcomer, enough) = (stack.newcomer(), AtomicBool::new(false));
    let look = async {
        let faults = every_query_finds_data(&prometheus, &running).await;
        enough.store(true, Ordering::Relaxed);
        faults
    };
    let (missing, tried) = tokio::join!(look, newcomer.tries_alerts_until(&enough));
    faults.extend(missing);
    faults.extend(tried.err().map(|error| format!("{error:#}")));
    faults.extend(links_of_a_message_lead_to_the_cause(&stack, &newcomer).await.err().map(|error| format!("{error:#}")));
    faults.extend(every_alert_is_read(&prometheus).await);
    faults.extend(only_expected_alerts_fire(&prometheus, &running).await);
    for program in running {
        faults.extend(what_is_served_is_declared(&stack, program).await);
    }
    faults.extend(lines::faults_of_every_line(&stack.run().join("logs")));
    // Last, since it ends parts.
    match faults::Site::new(&stack.run(), stack.endpoints()).await {
        Ok(site) => faults.extend(site.run(faults::SHORT, &[], faults::SLOW, false).await),
        Err(error) => faults.push(format!("{error:#}")),
    }
    stack.stop().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// In a browser, where Chromium is installed.
async fn links_of_a_message_lead_to_the_cause(stack: &Stack, newcomer: &Newcomer) -> anyhow::Result<()> {
    newcomer.alert(&[]).await?;
    if !clicks::lead_from_a_message_to_the_failed_request(stack.endpoints(), "Demonstration").await? {
        println!("skipped: 1 test of links in a browser: chromium is not installed; run: apt-get install chromium");
    }
    newcomer.alert(&["--end"]).await
}

/// Each fault reaches a person; `make soak` runs every row, unscaled.
#[tokio::test]
#[ignore = "long form, run by `make soak`"]
async fn every_fault_reaches_the_chat_in_its_time() {
    let mut stack = Stack::start().await.unwrap_or_else(|error| panic!("{error:#}"));
    let site = faults::Site::new(&stack.run(), stack.endpoints()).await.unwrap();
    let wrong = site.run(faults::LONG, &chosen(), Duration::ZERO, true).await;
    stack.stop().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `FAULTS`: names of rows, separated by semicolons, to repeat a part of the table. Empty: every row.
#[expect(clippy::disallowed_methods, reason = "a person repeats a part of the table")]
fn chosen() -> Vec<String> {
    let names = std::env::var("FAULTS").unwrap_or_default();
    names.split(';').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// From the first minute after the start, under the simulator's load: no alert fires, and no message arrives.
#[tokio::test]
#[ignore = "takes a quarter of an hour, run by `make soak`"]
async fn fifteen_healthy_minutes_raise_nothing() {
    const HEALTHY: Duration = Duration::from_secs(900);
    const LOOK: Duration = Duration::from_secs(5);
    let mut stack = Stack::start().await.unwrap_or_else(|error| panic!("{error:#}"));
    let prometheus = Prometheus::at(stack.prometheus());
    let chat = faults::Chat::new(stack.endpoints()).unwrap();
    let (begun, mut fired) = (Instant::now(), BTreeSet::new());
    while begun.elapsed() < HEALTHY {
        let of_programs = |alert: &String| {
            let name = alert.split(' ').next().unwrap_or_default();
            name != "Watchdog" && !faults::OF_THE_MACHINE.contains(&name)
        };
        fired.extend(prometheus.firing().await.into_iter().filter(of_programs));
        tokio::time::sleep(LOOK).await;
    }
    let messages = chat.incidents().await.unwrap().into_iter().map(|incident| incident.alert);
    let messages: Vec<_> = messages.filter(|alert| !faults::OF_THE_MACHINE.contains(&alert.as_str())).collect();
    stack.stop().await;
    assert!(fired.is_empty() && messages.is_empty(), "alerts: {fired:#?}\nmessages: {messages:?}");
}

/// Queues the jobs that are waited for, and runs every statement of the runbooks.
async fn run_statements(stack: &Stack) -> Vec<String> {
    let mut connection = PgConnection::connect(stack.database()).await.expect("PostgreSQL answers");
    for job in JOBS {
        let queued = sqlx::query("SELECT graphile_worker.add_job($1, '{}'::json)").bind(job).execute(&mut connection).await;
        queued.unwrap_or_else(|error| panic!("queueing {job}: {error}"));
    }
    let mut faults = Vec::new();
    for runbook in runbook::runbooks() {
        for statement in runbook.statements() {
            if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await {
                faults.push(format!("{}: {statement}: {error}", runbook.alert));
            }
        }
    }
    faults
}

/// Programs that this run has; one that it has not is said, and its queries are only parsed.
fn running(stack: &Stack) -> Vec<&'static Program> {
    let (running, absent): (Vec<_>, Vec<_>) = PROGRAMS.iter().partition(|program| !stack.metrics(program.name).is_empty());
    for program in absent {
        eprintln!("skipped: nothing of {} runs here, so its queries are parsed and not asked for data", program.name);
    }
    running
}

/// Queries that must find something, and the series that alerts compare.
fn queries(running: &[&Program]) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for board in Board::all() {
        queries.extend(board.queries(RANGE));
        queries.extend(board.variable_series());
    }
    queries.extend(rules::recordings().into_iter().map(|rule| (rule.record, rule.expr)));
    let absent = |alert: &str| program_of(alert).is_some_and(|program| running.iter().all(|other| other.name != program.name));
    for alert in rules::alerts().into_iter().filter(|alert| !absent(&alert.alert)) {
        // On a healthy exchange the alert itself finds nothing: what it looks at must be there.
        queries.extend(named(&alert.expr).selectors.into_iter().map(|selector| (alert.alert.clone(), selector.text)));
    }
    let all = queries.len();
    queries.retain(|(place, query)| {
        NOTHING.iter().all(|(nothing, _)| nothing != place) && ABSENT.iter().all(|(part, _)| !query.contains(part))
    });
    let without = all - queries.len();
    println!("{all} queries, {without} of them without data here: {} %", 100 * without / all);
    queries
}

async fn every_query_finds_data(prometheus: &Prometheus, running: &[&Program]) -> Vec<String> {
    let mut waiting = queries(running);
    let mut faults = Vec::new();
    let end = Instant::now() + DEADLINE;
    loop {
        let mut empty = Vec::new();
        for (place, query) in waiting {
            match prometheus.ask(&query).await {
                Answer::Data => {}
                Answer::Nothing => empty.push((place, query)),
                Answer::Refused(why) => faults.push(format!("{place}: {query}: {why}")),
            }
        }
        waiting = empty;
        if waiting.is_empty() || Instant::now() >= end {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    faults.extend(waiting.into_iter().map(|(place, query)| format!("{place}: no data for {query}")));
    faults
}

/// Also what finds nothing here must parse.
async fn every_alert_is_read(prometheus: &Prometheus) -> Vec<String> {
    let quiet = Board::all().flat_map(|board| board.queries(RANGE));
    let mut faults = Vec::new();
    for (place, query) in rules::alerts().into_iter().map(|alert| (alert.alert, alert.expr)).chain(quiet) {
        if let Answer::Refused(why) = prometheus.ask(&query).await {
            faults.push(format!("{place}: {query}: {why}"));
        }
    }
    let loaded = prometheus.rules().await;
    let expected: BTreeSet<_> = rules::alerts()
        .into_iter()
        .map(|rule| rule.alert)
        .chain(rules::recordings().into_iter().map(|rule| rule.record))
        .collect();
    faults.extend(expected.difference(&loaded).map(|rule| format!("Prometheus has not loaded {rule}")));
    faults
}

async fn only_expected_alerts_fire(prometheus: &Prometheus, running: &[&Program]) -> Vec<String> {
    let is_watched = |alert: &String| running.iter().any(|program| program.alarms(alert));
    let firing = prometheus.firing().await.into_iter().filter(is_watched);
    let unexpected = firing.filter(|alert| MAY_FIRE.iter().all(|(name, _)| !alert.starts_with(name)));
    unexpected.map(|alert| format!("fires on a healthy exchange: {alert}")).collect()
}

async fn what_is_served_is_declared(stack: &Stack, program: &Program) -> Vec<String> {
    let mut served = BTreeSet::new();
    for address in stack.metrics(program.name) {
        let text = reqwest::get(&address).await.expect("a process answers").text().await.expect("its metrics are text");
        served.extend(text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned));
    }
    let declared: BTreeSet<_> = program.metrics().map(|metric| metric.name.to_owned()).collect();
    let hidden = served.difference(&declared).map(|name| format!("{name} is served and not declared"));
    let dead = declared.difference(&served).filter(|name| NOT_SERVED.iter().all(|(absent, _)| absent != name));
    let dead = dead.map(|name| format!("{name} is declared, and no running program serves it"));
    hidden.chain(dead).collect()
}
