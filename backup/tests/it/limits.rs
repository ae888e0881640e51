//! Time limits and stop requests at stages without progress: tools and servers that never answer.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use local_parts::find_program;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Executor;

use crate::{
    interrupted::url,
    program::{Served, ended, program},
    support::{database, random, store_settings},
    verify::server_folder,
};

const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until no process has `text` in its command line.
fn gone(text: &str) {
    let running = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(text))
    };
    let begun = Instant::now();
    while running() {
        assert!(begun.elapsed() < DEADLINE, "{text} is still running");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A tool or a server that never answers must not delay a run beyond the limits, or after a stop request.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_is_limited_in_time() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let store = store_settings().await;
    let real = find_program("pg_dump").unwrap().parent().unwrap().display().to_string();
    for (tool, asleep) in
        [("pg_dumpall", "*"), ("pg_dumpall", "--globals-only"), ("pg_dump", "*"), ("pg_dump", "--format=custom")]
    {
        let folder = tempfile::tempdir().unwrap();
        let span = format!("600.{:08}", random());
        for name in ["pg_dump", "pg_dumpall"] {
            let sleep = if name == tool { format!("case \"$1\" in {asleep}) /bin/sleep {span};; esac\n") } else { String::new() };
            let path = folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{sleep}exec {real}/{name} \"$@\"\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let changes = [("BACKUP_CLIENT_FOLDER", folder.path().to_str().unwrap()), ("BACKUP_MAX_DURATION", "2s")];
        let (status, text) = ended_in_time(program(&source, &store, &changes, &["run"]), None);
        assert!(status == 76 && text.contains("BACKUP_MAX_DURATION"), "{tool} {asleep}: {status}: {text}");
        gone(&span);
    }
    for (changed, status, told) in [
        (("BACKUP_MAX_DURATION", "2s"), 76, "BACKUP_MAX_DURATION"),
        (("BACKUP_STALL_LIMIT", "2s"), 76, "BACKUP_STALL_LIMIT"),
        (("BACKUP_WORKERS", "2"), 1, "asked to stop"),
    ] {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://me@{}/postgres?sslmode=disable", mute.local_addr().unwrap());
        let run = program(&source, &store, &[("BACKUP_SOURCE_URL", url.as_str()), changed], &["run"]);
        let (ended, text) = ended_in_time(run, (status == 1).then_some(&mute));
        assert!(ended == status && text.contains(told), "{changed:?}: {ended}: {text}");
    }
    let (status, text) = ended(program(&source, &store, &[], &["run"]), &store);
    assert_eq!(status, 0, "the next run does not wait for remains of those: {text}");
}

/// People and pipelines run `check`, and must not wait for hours.
#[tokio::test(flavor = "multi_thread")]
async fn check_waits_no_longer_than_its_limit() {
    let (source, mut session) = database().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let (store, folder) = (store_settings().await, tempfile::tempdir().unwrap());
    let textfile = folder.path().join("backup.prom").display().to_string();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    let (server, endpoint) = (format!("postgres://me@{address}/postgres?sslmode=disable"), format!("http://{address}"));
    for (changed, told) in [(("BACKUP_SOURCE_URL", &server), "server"), (("BACKUP_STORE_ENDPOINT", &endpoint), "store")] {
        let changes =
            [(changed.0, changed.1.as_str()), ("BACKUP_CHECK_TIMEOUT", "1s"), ("BACKUP_METRICS_TEXTFILE", textfile.as_str())];
        let (status, text) = ended_in_time(program(&source, &store, &changes, &["check"]), None);
        let told = format!("FAILED  {told}: no answer within 1 s (BACKUP_CHECK_TIMEOUT)");
        assert!(status == 76 && text.contains(&told), "{status}: {text}");
    }
}

/// Runs the command to its end, which must come. Sends a stop request once it has reached `mute`.
fn ended_in_time(mut command: Command, mute: Option<&TcpListener>) -> (i32, String) {
    let (mut said, saying) = std::io::pipe().unwrap();
    let mut running = Served(command.stdout(saying.try_clone().unwrap()).stderr(saying).spawn().unwrap());
    // Only the process has the ends of the pipe.
    drop(command);
    let reading = thread::spawn(move || {
        let mut text = String::new();
        let _ = said.read_to_string(&mut text);
        text
    });
    // Open until the end: a closed connection would be a response.
    let _reached = mute.map(|mute| {
        let reached = mute.accept().unwrap();
        kill_process(Pid::from_child(&running.0), Signal::TERM).unwrap();
        reached
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < DEADLINE, "it does not stop");
        thread::sleep(Duration::from_millis(50));
    };
    (status.code().unwrap_or(-1), reading.join().unwrap())
}

/// Peak memory in KiB of processes of this name, of other tests too.
struct Peak {
    stop: Arc<AtomicBool>,
    watching: thread::JoinHandle<u64>,
}

impl Peak {
    fn watch(name: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watching = thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Relaxed) {
                let statuses = fs::read_dir("/proc").unwrap().flatten();
                for status in statuses.filter_map(|process| fs::read_to_string(process.path().join("status")).ok()) {
                    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
                    if field("Name:") == name {
                        let kibibytes = field("VmHWM:").split(' ').next().and_then(|number| number.parse().ok());
                        peak = peak.max(kibibytes.unwrap_or(0));
                    }
                }
                thread::sleep(Duration::from_millis(2));
            }
            peak
        });
        Self { stop, watching }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.watching.join().unwrap()
    }
}

/// pg_dump reads the first row before the agent stops it, and the agent reads every row. Neither holds a large value completely.
/// With few objects, pg_dump's buffer holds the whole table of contents, and the agent has to ask the server when rows are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_is_never_held_completely() {
    const VALUE_MIB: u64 = 96;
    const AGENT_MIB: u64 = 112;
    const PG_RESTORE_MIB: u64 = 64;
    // As hexadecimal text, and once more as a row: 384 MiB.
    for (more_tables, pg_dump_mib) in [(0, 256), (60, 96)] {
        let (source, mut session) = database().await;
        let make = format!(
            "CREATE TABLE a_large (value bytea); ALTER TABLE a_large ALTER value SET STORAGE EXTERNAL; \
             INSERT INTO a_large SELECT decode(repeat('00ff5c6e', {}), 'hex'); \
             DO $$ BEGIN FOR n IN 1..{more_tables} LOOP EXECUTE format('CREATE TABLE small_%s (a int)', n); END LOOP; END $$",
            VALUE_MIB << 18
        );
        session.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
        let store = store_settings().await;
        let (dump, agent) = (Peak::watch("pg_dump"), Peak::watch("backup"));
        let (status, text) = ended(program(&source, &store, &[], &["run"]), &store);
        let (dump, agent) = (dump.end() >> 10, agent.end() >> 10);
        assert!(status == 0 && text.contains("1 rows of 1 databases"), "{status}: {text}");
        println!("a value of {VALUE_MIB} MiB with {more_tables} tables: {dump} MiB in pg_dump, {agent} MiB in backup");
        assert!(
            dump < pg_dump_mib && agent < AGENT_MIB,
            "a value of {VALUE_MIB} MiB took {dump} MiB in pg_dump, {agent} MiB in backup"
        );
        if more_tables > 0 {
            continue;
        }
        // The way back: pg_restore reads no row, and the agent passes rows on in pieces. A drill also reads them again.
        let (to, target) = (format!("large_{:08x}", random()), url(&source));
        let server = server_folder().unwrap().display().to_string();
        let changes = [("BACKUP_TARGET_URL", target.as_str()), ("BACKUP_SERVER_FOLDER", server.as_str())];
        for arguments in [&["restore", "--to", &to][..], &["verify"]] {
            let (restore, agent) = (Peak::watch("pg_restore"), Peak::watch("backup"));
            let (status, text) = ended(program(&source, &store, &changes, arguments), &store);
            let (restore, agent) = (restore.end() >> 10, agent.end() >> 10);
            assert_eq!(status, 0, "{text}");
            println!("{arguments:?} of a value of {VALUE_MIB} MiB: {restore} MiB in pg_restore, {agent} MiB in backup");
            assert!(
                restore < PG_RESTORE_MIB && agent < AGENT_MIB,
                "{arguments:?}: {restore} MiB in pg_restore, {agent} MiB in backup"
            );
        }
    }
}
