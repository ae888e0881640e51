//! This module is the time of the journal's commits between two scrapes of a server. It must not scrape.

use anyhow::{Context, Result};

const NAME: &str = "exchange_engine_commit_seconds";

/// Commits of the journal so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commits {
    pub count: f64,
    seconds: f64,
    /// Upper bound in seconds, and the number of commits up to it.
    buckets: Vec<(f64, f64)>,
}

impl Commits {
    /// # Errors
    ///
    /// Returns an error if the text of the metrics has no such histogram.
    pub fn parse(text: &str) -> Result<Self> {
        let (mut commits, mut found) = (Self::default(), false);
        for line in text.lines() {
            let Some((series, value)) = line.strip_prefix(NAME).and_then(|rest| rest.rsplit_once(' ')) else { continue };
            let value: f64 = value.parse().with_context(|| format!("reading {line}"))?;
            match series {
                "_count" => (commits.count, found) = (value, true),
                "_sum" => commits.seconds = value,
                _ => {
                    let bound = series.strip_prefix("_bucket{le=\"").and_then(|bound| bound.strip_suffix("\"}"));
                    // Rust reads `+Inf` too.
                    commits.buckets.extend(bound.and_then(|bound| bound.parse().ok()).map(|bound: f64| (bound, value)));
                }
            }
        }
        found.then_some(commits).with_context(|| format!("no metric {NAME}_count"))
    }

    /// Those after an earlier scrape.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| earlier.buckets.iter().find(|bucket| bucket.0 == bound).map_or(0.0, |bucket| bucket.1);
        Self {
            count: self.count - earlier.count,
            seconds: self.seconds - earlier.seconds,
            buckets: self.buckets.iter().map(|(bound, count)| (*bound, count - before(*bound))).collect(),
        }
    }

    pub fn mean_seconds(&self) -> f64 {
        self.seconds / self.count
    }

    /// As Prometheus's `histogram_quantile`: linear within the bucket.
    pub fn quantile_seconds(&self, quantile: f64) -> f64 {
        let rank = quantile * self.count;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank {
                return if bound.is_finite() {
                    lower + (bound - lower) * (rank - below) / (count - below).max(1.0)
                } else {
                    lower
                };
            }
            (lower, below) = (*bound, *count);
        }
        lower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_commits_between_two_scrapes() {
        let text = |fast: u32, slow: u32, sum: f64| {
            format!(
                "{NAME}_bucket{{le=\"0.001\"}} {fast}\n{NAME}_bucket{{le=\"0.002\"}} {all}\n{NAME}_bucket{{le=\"+Inf\"}} {all}\n\
                 {NAME}_sum {sum}\n{NAME}_count {all}\nother 5\n",
                all = fast + slow
            )
        };
        let (before, after) = (Commits::parse(&text(50, 0, 0.05)).unwrap(), Commits::parse(&text(140, 10, 0.25)).unwrap());
        let between = after.since(&before);
        assert_eq!(between.count, 100.0);
        assert!((between.mean_seconds() - 0.002).abs() < 1e-9);
        assert!((between.quantile_seconds(0.99) - 0.0019).abs() < 1e-9, "{}", between.quantile_seconds(0.99));
        assert!((between.quantile_seconds(0.45) - 0.0005).abs() < 1e-9);
        assert!(Commits::parse("other 5\n").is_err());
    }
}
