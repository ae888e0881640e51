//! This module lists the measured tools and prints the results.

use std::collections::BTreeMap;

use crate::measure::{Cost, median};

/// Measured for its restore; skipped without one, since it creates a file for each of many small objects.
pub const FOLDER: &str = "pg_dump -Fd -j2";

/// Name and pipe; without a pipe it is the agent.
pub const BACKUPS: [(&str, Option<&str>); 5] = [
    ("backup", None),
    ("pg_dump -Fc", Some("pg_dump -Fc 'URL' | upload 'pg_dump -Fc/archive'")),
    ("pg_dump | zstd", Some("pg_dump 'URL' | zstd -q -3 -T2 | upload 'pg_dump | zstd/script'")),
    // A new repository each time: deduplication over days is not measured.
    ("restic", Some("restic -q init; pg_dump 'URL' | restic -q backup --stdin")),
    (FOLDER, Some("pg_dump -Fd -j2 -f fd 'URL'; upload-folder 'pg_dump -Fd -j2' fd")),
];

/// Each ends with the planner's statistics, like the agent's restore.
pub const RESTORES: [(&str, Option<&str>); 4] = [
    ("backup restore", None),
    ("backup verify", None),
    (
        "pg_restore, streamed",
        Some(
            "createdb --maintenance-db 'SERVER' back; download 'pg_dump -Fc/archive' | pg_restore -d 'URL'; psql -qc ANALYZE 'URL'",
        ),
    ),
    (
        "pg_restore -j2",
        Some(
            "createdb --maintenance-db 'SERVER' back; download-folder 'pg_dump -Fd -j2' fd; pg_restore -j2 -d 'URL' fd; psql -qc ANALYZE 'URL'",
        ),
    ),
];

type ByTool<'a> = BTreeMap<&'a str, f64>;

/// Elapsed seconds, and processor seconds.
pub fn medians<'a>(costs: &BTreeMap<&'a str, Vec<Cost>>) -> (ByTool<'a>, ByTool<'a>) {
    let of = |value: fn(&Cost) -> f64| costs.iter().map(|(tool, costs)| (*tool, median(costs.iter().map(value)))).collect();
    (of(|cost| cost.seconds), of(|cost| cost.cpu_seconds))
}

pub fn print(what: &str, costs: &BTreeMap<&str, Vec<Cost>>, stored: &BTreeMap<&str, f64>) {
    println!("{what:24} {:>8} {:>17} {:>8} {:>10} {:>10}", "seconds", "(from - to)", "cpu s", "client s", "MiB");
    let (seconds, cpu) = medians(costs);
    for (tool, costs) in costs {
        let (least, most) =
            costs.iter().fold((f64::MAX, 0.0_f64), |(least, most), cost| (least.min(cost.seconds), most.max(cost.seconds)));
        let client = median(costs.iter().map(|cost| cost.client_cpu_seconds));
        let stored = stored.get(tool).map_or_else(String::new, |bytes| format!("{:.1}", bytes / f64::from(1 << 20)));
        println!("{tool:24} {:8.2} {least:8.2} - {most:6.2} {:8.2} {client:10.2} {stored:>10}", seconds[tool], cpu[tool]);
    }
}
