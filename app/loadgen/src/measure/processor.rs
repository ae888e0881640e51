//! This module reads processor time from the kernel. It must not use wall time instead.

use anyhow::{Context, Result};
use std::fs::read_to_string;
use std::ops::Range;
use std::time::Duration;

/// Clock ticks of /proc/<pid>/stat in a second, on every Linux (USER_HZ).
const TICKS: u64 = 100;
/// Fields of /proc/<pid>/stat, counted from 0: utime and stime, cutime and cstime, num_threads.
const OWN: Range<usize> = 13..15;
const ENDED_CHILDREN: Range<usize> = 15..17;
const THREADS: Range<usize> = 19..20;

/// Processor time of this thread.
pub fn of_this_thread() -> Result<Duration> {
    schedule_time("/proc/thread-self/schedstat").context("reading this thread's /proc/thread-self/schedstat")
}

/// Processor time of a process with all its threads, and of its children that ended and were waited for.
pub fn of_process(pid: u32) -> Result<Duration> {
    let fields = stat(pid)?;
    let ticks = |range: Range<usize>| -> u64 {
        fields.get(range).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum()
    };
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS);
    // A process with one thread is measured in nanoseconds; others in ticks of 10 ms.
    let own = match schedule_time(&format!("/proc/{pid}/schedstat")) {
        Ok(exact) if ticks(THREADS) == 1 => exact,
        _ => time(ticks(OWN)),
    };
    Ok(own + time(ticks(ENDED_CHILDREN)))
}

/// As [`of_process`], including every living process below it.
pub fn of_tree(pid: u32) -> Result<Duration> {
    let mut total = of_process(pid)?;
    for child in descendants(pid)? {
        // A process that ended since is in its parent's count next time.
        total += of_process(child).unwrap_or_default();
    }
    Ok(total)
}

/// Fields of /proc/<pid>/stat, counted from 0. The program's name may contain blanks and brackets: it ends at the last `)`.
fn stat(pid: u32) -> Result<Vec<String>> {
    let text = read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} has ended"))?;
    let (name, rest) = text.rsplit_once(") ").context("/proc/<pid>/stat does not have the format of proc(5)")?;
    let mut fields = vec![pid.to_string(), name.to_owned()];
    fields.extend(rest.split(' ').map(str::to_owned));
    Ok(fields)
}

fn schedule_time(path: &str) -> Result<Duration> {
    let text = read_to_string(path)?;
    let nanoseconds = text.split(' ').next().context("an empty schedstat")?.trim().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Living processes below `pid`.
fn descendants(pid: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let parent = stat(process).ok().and_then(|fields| fields.get(3)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (process, parent)));
    }
    let (mut found, mut next) = (Vec::new(), vec![pid]);
    while let Some(parent) = next.pop() {
        let children: Vec<u32> = parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process).collect();
        next.extend(&children);
        found.extend(children);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn work_is_seen_in_the_thread_the_process_and_the_tree() {
        let pid = std::process::id();
        let (thread, process) = (of_this_thread().unwrap(), of_process(pid).unwrap());
        let spent = Duration::from_millis(200);
        let end = of_this_thread().unwrap() + spent;
        while of_this_thread().unwrap() < end {
            std::hint::black_box((0..10_000u64).sum::<u64>());
        }
        assert!(of_this_thread().unwrap() - thread >= spent);
        assert!(of_process(pid).unwrap() - process >= spent.mul_f64(0.8));

        // A child that uses processor time and then waits, measured while it lives.
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read line";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let output = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        assert_eq!(line, "done\n");
        assert!(descendants(pid).unwrap().contains(&child.id()));
        let of_child = of_process(child.id()).unwrap();
        assert!(of_child >= Duration::from_millis(10), "{of_child:?}");
        // Other tests run in this process at the same time, so read the parts before the whole.
        let parts = of_process(pid).unwrap() + of_child;
        assert!(of_tree(pid).unwrap() >= parts);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
