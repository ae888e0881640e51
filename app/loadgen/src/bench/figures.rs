//! This module collects figures by name, reduces rounds to medians, compares them, and writes one flat JSON object. It must not
//! measure.

use super::arm::Cost;
use super::round::Round;
use crate::load::LoadResult;
use crate::measure::median;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Default)]
pub struct Figures {
    rounds: BTreeMap<String, Vec<f64>>,
    single: BTreeMap<String, f64>,
}

impl Figures {
    /// One round's value of a figure.
    pub fn add(&mut self, name: &str, value: f64) {
        self.rounds.entry(name.to_owned()).or_default().push(value);
    }

    /// A figure that is measured once.
    pub fn set(&mut self, name: &str, value: f64) {
        self.single.insert(name.to_owned(), value);
    }

    pub fn add_round(&mut self, arm: &str, round: &Round) {
        self.add(&format!("{arm}.cpu_us_per_order"), round.projected_us());
        self.add(&format!("{arm}.cpu_us_per_order_until_ack"), round.acknowledged_us());
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / round.orders() as f64;
        let cost = round.projected;
        for (part, time) in
            [("server", cost.server), ("postgres", cost.postgres), ("worker", cost.worker), ("generator", cost.generator)]
        {
            self.add(&format!("{arm}.cpu_us_{part}"), each(time));
        }
        for (connections, measured) in [("64", &round.few), ("512", &round.many)] {
            self.add(&format!("{arm}.http{connections}_orders_per_second"), measured.rate());
            self.add(&format!("{arm}.http{connections}_p50_seconds"), measured.quantile_seconds(0.5));
            self.add(&format!("{arm}.http{connections}_p99_seconds"), measured.quantile_seconds(0.99));
        }
    }

    /// The closed loop over the WebSocket API: microseconds per order until the tables contain it, everything included.
    pub fn add_socket(&mut self, measured: &LoadResult, cost: Cost) {
        self.add("ours.ws512_orders_per_second", measured.rate());
        self.add("ours.ws512_p50_seconds", measured.quantile_seconds(0.5));
        self.add("ours.ws512_p99_seconds", measured.quantile_seconds(0.99));
        self.add("ours.ws512_cpu_us_per_order", cost.total().as_secs_f64() * 1e6 / measured.orders as f64);
    }

    /// A figure's median, or its only value; 0 if it was not measured.
    pub fn get(&self, name: &str) -> f64 {
        self.single.get(name).copied().unwrap_or_else(|| self.rounds.get(name).map_or(0.0, |values| median(values)))
    }

    /// Least and greatest of the rounds.
    pub fn range(&self, name: &str) -> Option<(f64, f64)> {
        let values = self.rounds.get(name)?;
        let least = values.iter().copied().min_by(f64::total_cmp)?;
        Some((least, values.iter().copied().max_by(f64::total_cmp)?))
    }

    /// The ratios of medians.
    pub fn compare(&mut self) {
        let ratios = [
            ("cpu.naive_over_ours", "naive.cpu_us_per_order", "ours.cpu_us_per_order"),
            ("cpu.naive_over_ack", "naive.cpu_us_per_order", "ours.cpu_us_per_order_until_ack"),
            ("cpu.hello_over_ours", "hello.cpu_us_per_order", "ours.cpu_us_per_order"),
            ("cpu.one_statement_over_ours", "one_statement.cpu_us_per_order", "ours.cpu_us_per_order"),
            ("http64.vs_naive", "ours.http64_orders_per_second", "naive.http64_orders_per_second"),
            ("http512.vs_naive", "ours.http512_orders_per_second", "naive.http512_orders_per_second"),
            ("ws512.vs_naive", "ours.ws512_orders_per_second", "naive.http512_orders_per_second"),
            ("ws.cpu_naive_over_ours", "naive.cpu_us_per_order", "ours.ws512_cpu_us_per_order"),
        ];
        for (name, above, below) in ratios {
            self.set(name, self.get(above) / self.get(below));
        }
        // The least that a durable answer can take at this rate: HTTP's own time, half a commit of waiting for the one before, and a
        // commit; at the tail, two commits.
        for (name, quantile, commits, figure) in [
            ("ack_p50_over_floor", "ack_p50_seconds", 1.5, "commit_mean_seconds"),
            ("ack_p99_over_floor_p99", "ack_p99_seconds", 2.0, "commit_p99_seconds"),
        ] {
            let floor = self.get(&format!("open_hello.{quantile}")) + commits * self.get(&format!("open.{figure}"));
            self.set(name, self.get(&format!("open.{quantile}")) / floor);
        }
    }

    /// One flat object; every figure is a number.
    pub fn write(&self, path: &Path) -> Result<()> {
        let names = self.rounds.keys().chain(self.single.keys());
        let flat: BTreeMap<&str, f64> = names.map(|name| (name.as_str(), self.get(name))).collect();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(&flat)? + "\n";
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("\nwrote {}", path.display());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians() {
        let mut figures = Figures::default();
        for (naive, ours) in [(100.0, 10.0), (900.0, 30.0), (300.0, 20.0)] {
            figures.add("naive.cpu_us_per_order", naive);
            figures.add("ours.cpu_us_per_order", ours);
        }
        figures.compare();
        assert_eq!(figures.get("cpu.naive_over_ours"), 15.0);
        assert_eq!(figures.range("ours.cpu_us_per_order"), Some((10.0, 30.0)));
        assert_eq!(figures.get("never.measured"), 0.0);
    }
}
