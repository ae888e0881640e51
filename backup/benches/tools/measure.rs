//! This module measures a command: elapsed time, processor time of all processes that work for it, memory of its own processes.

use std::{
    collections::HashMap,
    fs,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// Ticks of `/proc/<pid>/stat` in a second. The kernel reports hundredths on every machine.
const TICKS: f64 = 100.0;
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

/// Cost of one finished command.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub seconds: f64,
    /// Processor time of the command's processes, of the database server with its sessions, and of the store.
    pub cpu_seconds: f64,
    /// The part of it in the command's own processes.
    pub client_cpu_seconds: f64,
}

/// Processes that work for a command without being its children.
#[derive(Debug, Clone, Default)]
pub struct Servers(pub Vec<u32>);

impl Servers {
    fn cpu_seconds(&self) -> f64 {
        let processes = processes();
        let of = |process: &Process| process.own + process.reaped;
        let tree = |root: &u32| descendants(&processes, *root).iter().filter_map(|pid| processes.get(pid)).map(of).sum::<f64>();
        self.0.iter().map(tree).sum()
    }
}

/// Runs `command`, which must succeed. Its output is dropped.
pub fn run(mut command: Command, servers: &Servers) -> Result<Cost> {
    let (children, others) = (reaped_by_us(), servers.cpu_seconds());
    let begun = Instant::now();
    let mut child = start(&mut command)?;
    let complaints = child.stderr.take().map(|stderr| thread::spawn(move || std::io::read_to_string(stderr)));
    let status = child.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    let complaints = complaints.and_then(|reader| reader.join().ok()?.ok()).unwrap_or_default();
    ensure!(status.success(), "{} ended with {status}: {complaints}", said(&command));
    let client_cpu_seconds = reaped_by_us() - children;
    Ok(Cost { seconds, cpu_seconds: client_cpu_seconds + servers.cpu_seconds() - others, client_cpu_seconds })
}

/// The highest sum of the proportional set sizes of `command` and its children while it runs, in MiB.
pub fn peak_memory(mut command: Command) -> Result<f64> {
    let mut child = start(&mut command)?;
    let (root, done, peak) = (child.id(), AtomicBool::new(false), AtomicU64::new(0));
    let complaints = child.stderr.take().map(|stderr| thread::spawn(move || std::io::read_to_string(stderr)));
    let status = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let sum = descendants(&processes(), root).into_iter().filter_map(proportional_kib).sum();
                peak.fetch_max(sum, Relaxed);
                thread::sleep(SAMPLE_EVERY);
            }
        });
        let status = child.wait();
        done.store(true, Relaxed);
        status
    })?;
    let complaints = complaints.and_then(|reader| reader.join().ok()?.ok()).unwrap_or_default();
    ensure!(status.success(), "{} ended with {status}: {complaints}", said(&command));
    Ok(peak.into_inner() as f64 / 1024.0)
}

/// Program and arguments, without the environment, which contains keys.
fn said(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(command.get_program().to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn start(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().with_context(|| format!("{} cannot be started", said(command)))
}

struct Process {
    parent: u32,
    own: f64,
    reaped: f64,
}

/// Every process visible to this one.
fn processes() -> HashMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, process(&pid.to_string())?))).collect()
}

fn process(pid: &str) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain any character.
    let fields: Vec<f64> = stat.rsplit_once(')')?.1.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let ticks = |at: usize| fields.get(at).map(|ticks| ticks / TICKS);
    Some(Process { parent: *fields.first()? as u32, own: ticks(10)? + ticks(11)?, reaped: ticks(12)? + ticks(13)? })
}

fn reaped_by_us() -> f64 {
    process("self").map_or(0.0, |process| process.reaped)
}

/// `root` and all of its descendants.
fn descendants(processes: &HashMap<u32, Process>, root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(processes.iter().filter(|(_, process)| process.parent == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

fn proportional_kib(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// The median.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
