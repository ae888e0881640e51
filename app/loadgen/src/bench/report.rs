//! This module prints the table for a person. It must not print a figure that is not in the file too.

use super::figures::Figures;
use super::{OPEN, Open};

/// The target of a figure.
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

const GOALS: [(&str, Goal); 23] = [
    ("cpu.naive_over_ours", Goal::AtLeast(8.0)),
    ("cpu.naive_over_ack", Goal::AtLeast(12.0)),
    ("cpu.hello_over_ours", Goal::AtLeast(0.25)),
    ("http64.vs_naive", Goal::AtLeast(5.0)),
    ("http512.vs_naive", Goal::AtLeast(10.0)),
    ("ws512.vs_naive", Goal::AtLeast(20.0)),
    ("ws.cpu_naive_over_ours", Goal::AtLeast(15.0)),
    ("ack_p50_over_floor", Goal::AtMost(1.15)),
    ("ack_p99_over_floor_p99", Goal::AtMost(1.5)),
    ("forward.cpu_over_direct", Goal::AtMost(1.5)),
    ("fanout.events_per_cpu_second", Goal::AtMost(f64::INFINITY)),
    ("fanout.p99_ms", Goal::AtMost(f64::INFINITY)),
    ("fanout.kb_per_subscriber", Goal::AtMost(64.0)),
    ("core.mops_per_cpu_second", Goal::AtLeast(5.0)),
    ("core.p99_ns", Goal::AtMost(f64::INFINITY)),
    ("core.cascade_10k_ms", Goal::AtMost(100.0)),
    ("core.cascade_10k_over_1k", Goal::AtMost(12.0)),
    ("recovery.events_per_second", Goal::AtLeast(500_000.0)),
    ("recover.seconds_per_million_events", Goal::AtMost(10.0)),
    ("memory.bytes_per_resting_order", Goal::AtMost(300.0)),
    ("telemetry.cpu_share", Goal::AtMost(0.05)),
    ("metrics.scrape_ms", Goal::AtMost(50.0)),
    ("metrics.series_per_program", Goal::AtMost(5_000.0)),
];

const ARMS: [&str; 4] = ["hello", "naive", "one_statement", "ours"];

pub fn print(figures: &Figures) {
    println!("\nMedians of the rounds [least, greatest]; processor time in microseconds per order\n");
    println!("{:<14} {:>24} {:>10} {:>18} {:>18}", "arm", "us/order", "until ack", "orders/s at 64", "orders/s at 512");
    for arm in ARMS {
        let of = |name: &str| figures.get(&format!("{arm}.{name}"));
        let (least, greatest) = figures.range(&format!("{arm}.cpu_us_per_order")).unwrap_or_default();
        let cpu = format!("{:.1} [{least:.1}, {greatest:.1}]", of("cpu_us_per_order"));
        let (ack, few, many) =
            (of("cpu_us_per_order_until_ack"), of("http64_orders_per_second"), of("http512_orders_per_second"));
        println!("{arm:<14} {cpu:>24} {ack:>10.1} {few:>18.0} {many:>18.0}");
    }
    println!("\n{:<34} {:>14}   wanted", "figure", "value");
    for (name, goal) in GOALS {
        let value = figures.get(name);
        let (wanted, reached) = match goal {
            Goal::AtLeast(least) => (format!(">= {least}"), value >= least),
            Goal::AtMost(f64::INFINITY) => ("reported".to_owned(), true),
            Goal::AtMost(most) => (format!("<= {most}"), value <= most),
        };
        println!("{name:<34} {value:>14.3}   {wanted}{}", if reached { "" } else { "   not reached" });
    }
    for name in ["commit_p50_seconds", "fdatasync_p50_seconds", "ours.fills_per_order"] {
        println!("{name:<34} {:>14.6}", figures.get(name));
    }
    println!(
        "\n{:<22} {:>10} {:>10} {:>10} {:>16} {:>14} {:>17}",
        "open loop", "orders/s", "p50, s", "p99, s", "processors busy", "a commit, s", "orders a commit"
    );
    for Open { name, .. } in &OPEN {
        let of = |figure: &str| figures.get(&format!("{name}.{figure}"));
        let (rate, p50, p99) = (of("rate_per_second"), of("ack_p50_seconds"), of("ack_p99_seconds"));
        let (commit, batch) = (of("commit_mean_seconds"), of("orders_per_commit"));
        println!("{name:<22} {rate:>10.0} {p50:>10.6} {p99:>10.6} {:>16.2} {commit:>14.6} {batch:>17.1}", of("processors_busy"));
    }
}
