//! Every query of boards, rules and runbooks against the running programs: PostgreSQL, an S3 server, the exchange's server and
//! worker, live traffic, Prometheus with the rules.

mod alert;
mod browser;
mod clicks;
mod faults;
mod lines;
mod lists;
mod panels;
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
use lists::{MAY_FIRE, NOT_SERVED};
use prometheus::{Answer, Prometheus};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use stack::Stack;

/// Until a series must be there: scheduled jobs run once a minute, and other tests run at the same time.
const DEADLINE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_secs(1);
/// For rates: several scrapes, and as long as a busy machine needs for a round of all queries and for the rarest events of the stack,
/// acknowledgements of alerts. A picture is drawn once.
const RANGE: &str = "5m";
/// Jobs whose own time may come after the deadline.
const JOBS: &[&str] = &["ledger_check", "snapshot"];

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
    faults.extend(panels::have_few_series(&prometheus).await);
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
    queries
}

async fn every_query_finds_data(prometheus: &Prometheus, running: &[&Program]) -> Vec<String> {
    let mut waiting = queries(running);
    let mut faults = panels::faults_of_the_share(&waiting);
    waiting.retain(|(place, query)| panels::finds_data(place, query));
    let end = Instant::now() + DEADLINE;
    loop {
        let mut empty = Vec::new();
        for (place, query) in waiting {
            match prometheus.ask(&query).await {
                Answer::Data(_) => {}
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
