//! This module computes the days until the disks reach Elasticsearch's watermarks, from the recent growth and the retention
//! of each stream. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    advice::Advice,
    desired::{
        Desired, ObjectKind,
        resolve::{self, DataRetention, LivesBy},
    },
    observe::{ClusterObservation, DiskFacts, IndexFacts},
    units::{self, MILLIS_PER_DAY},
};

/// Defaults of `cluster.routing.allocation.disk.watermark.{low,high,flood_stage}`, in percent of the disk.
pub const WATERMARKS: [(&str, f64); 3] = [("low", 85.0), ("high", 90.0), ("flood", 95.0)];
/// Time over which growth is measured.
const WINDOW_DAYS: i64 = 7;
/// A shorter history is too short to measure growth.
const SHORTEST_HISTORY_MILLIS: i64 = 3_600_000;
/// Longest forecast: disk planning beyond ten years is not useful.
pub const HORIZON_DAYS: u32 = 3650;

/// The forecast of one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamForecast {
    pub stream: String,
    /// Includes all copies.
    pub bytes: u64,
    /// `None` if the history is too short.
    pub bytes_per_day: Option<f64>,
    pub retention: DataRetention,
    /// Size at which deletions equal growth. `None` if the stream is never deleted or its growth is unknown.
    pub steady_bytes: Option<u64>,
    /// Days until the low watermark if only this stream continued to grow. `None`: not within ten years.
    pub days: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    pub streams: Vec<StreamForecast>,
    /// Days until each of [`WATERMARKS`]; `None`: not within ten years.
    pub days: [Option<u32>; 3],
    /// Whether a disk and the growth of at least one stream are known. If not, `None` in `days` means unknown.
    pub growth_known: bool,
    pub disk_total: u64,
    pub disk_used: u64,
}

/// Computes the forecast of the declared streams.
pub fn forecast(desired: &Desired, observation: &ClusterObservation, now_millis: i64) -> Forecast {
    let futures: Vec<Future> =
        desired.streams.keys().map(|stream| Future::of(desired, observation, stream, now_millis)).collect();
    let (total, used) = (sum(&observation.disks, |disk| disk.total), sum(&observation.disks, |disk| disk.used));
    let together =
        |percent| first_day(headroom(&observation.disks, percent), |day| futures.iter().map(|future| future.growth(day)).sum());
    let streams = futures.iter().map(|future| StreamForecast {
        stream: future.stream.clone(),
        bytes: future.parts.iter().map(|(_, bytes)| bytes).sum(),
        bytes_per_day: future.rate,
        retention: future.retention,
        steady_bytes: match (future.retention, future.rate) {
            (DataRetention::Millis(kept), Some(rate)) => Some((rate * kept as f64 / MILLIS_PER_DAY as f64) as u64),
            _ => None,
        },
        days: first_day(headroom(&observation.disks, WATERMARKS[0].1), |day| future.growth(day)),
    });
    Forecast {
        streams: streams.collect(),
        days: WATERMARKS.map(|(_, percent)| together(percent)),
        growth_known: !observation.disks.is_empty() && futures.iter().any(|future| future.rate.is_some()),
        disk_total: total,
        disk_used: used,
    }
}

fn sum(disks: &[DiskFacts], of: fn(&DiskFacts) -> u64) -> u64 {
    disks.iter().map(of).sum()
}

/// Bytes that can be added before the fullest node reaches the watermark, if data spreads evenly.
fn headroom(disks: &[DiskFacts], percent: f64) -> f64 {
    let left = disks.iter().map(|disk| disk.total as f64 * percent / 100.0 - disk.used as f64);
    left.fold(f64::INFINITY, f64::min) * disks.len() as f64
}

/// Returns the first day on which the growth exceeds the headroom.
fn first_day(headroom: f64, growth: impl Fn(u32) -> f64) -> Option<u32> {
    (0..=HORIZON_DAYS).find(|day| growth(*day) >= headroom)
}

/// A stream in the future.
struct Future {
    stream: String,
    /// Age in milliseconds since the rollover, and bytes, of each index.
    parts: Vec<(i64, u64)>,
    rate: Option<f64>,
    retention: DataRetention,
}

impl Future {
    fn of(desired: &Desired, observation: &ClusterObservation, stream: &str, now_millis: i64) -> Self {
        let since = |index: &IndexFacts| {
            index.lifecycle.as_ref().map(|at| at.since_millis).filter(|since| *since > 0).unwrap_or(index.created_millis)
        };
        let parts = observation.of(stream).map(|index| (now_millis - since(index), index.bytes)).collect();
        let (stream, declared) = (stream.to_owned(), &desired.streams[stream]);
        let resolved = resolve::stream(desired, &stream, declared);
        let managed = resolve::lives_by(resolved.policy.as_deref(), resolved.lifecycle.as_ref(), resolved.prefers_lifecycle);
        let retention = match managed {
            LivesBy::Policy(policy) => {
                desired.body(ObjectKind::LifecyclePolicy, policy).map_or(DataRetention::Forever, resolve::policy_retention)
            }
            LivesBy::Lifecycle(lifecycle) => resolve::lifecycle_retention(lifecycle),
            LivesBy::Nothing => DataRetention::Forever,
        };
        Self { rate: rate(observation, &stream, now_millis), parts, retention, stream }
    }

    /// Returns the change of the stream's size after `day` days: new bytes, minus deletions of existing and new bytes.
    fn growth(&self, day: u32) -> f64 {
        let days = f64::from(day);
        let DataRetention::Millis(kept) = self.retention else { return self.rate.unwrap_or(0.0) * days };
        let passed = i64::from(day) * MILLIS_PER_DAY;
        let gone: u64 = self.parts.iter().filter(|(age, _)| age + passed > kept).map(|(_, bytes)| bytes).sum();
        let coming = days.min(kept as f64 / MILLIS_PER_DAY as f64);
        self.rate.unwrap_or(0.0) * coming - gone as f64
    }
}

/// Returns bytes per day over the last week, from the indices created in it. The measured time starts with the oldest of
/// them.
fn rate(observation: &ClusterObservation, stream: &str, now_millis: i64) -> Option<f64> {
    let lately: Vec<_> =
        observation.of(stream).filter(|index| now_millis - index.created_millis <= WINDOW_DAYS * MILLIS_PER_DAY).collect();
    let lately = if lately.is_empty() { observation.of(stream).next_back().into_iter().collect() } else { lately };
    let began = lately.iter().map(|index| index.created_millis).min()?;
    let history = now_millis - began;
    let bytes: u64 = lately.iter().map(|index| index.bytes).sum();
    (history >= SHORTEST_HISTORY_MILLIS).then(|| bytes as f64 * MILLIS_PER_DAY as f64 / history as f64)
}

fn days(days: Option<u32>, growth_known: bool) -> String {
    match days {
        Some(0) => "now".to_owned(),
        Some(days) => format!("{days} days"),
        None if growth_known => "not within ten years".to_owned(),
        None => "unknown yet (growth is measured after an hour)".to_owned(),
    }
}

/// Returns the forecast as a table.
pub fn forecast_text(forecast: &Forecast) -> String {
    let mut text = String::new();
    let used = units::rough_size(forecast.disk_used);
    let _ = writeln!(text, "disks: {used} of {} used", units::rough_size(forecast.disk_total));
    let unknown = forecast.streams.iter().filter(|stream| stream.bytes_per_day.is_none()).count();
    for ((name, percent), until) in WATERMARKS.iter().zip(forecast.days) {
        let without = match until {
            None if forecast.growth_known && unknown > 0 => format!(", without the streams of unknown growth ({unknown})"),
            _ => String::new(),
        };
        let _ = writeln!(text, "{name} watermark ({percent} %): {}{without}", days(until, forecast.growth_known));
    }
    let width = forecast.streams.iter().map(|stream| stream.stream.len()).max().unwrap_or(0).max(6);
    let _ =
        writeln!(text, "\n{:width$}  {:>10}  {:>12}  {:>8}  {:>10}  alone to low", "stream", "now", "a day", "kept", "steady");
    for stream in &forecast.streams {
        let rate = stream.bytes_per_day.map_or_else(|| "unknown yet".to_owned(), |rate| units::rough_size(rate as u64));
        let steady = stream.steady_bytes.map_or_else(|| "-".to_owned(), units::rough_size);
        let (name, now, kept) = (&stream.stream, units::rough_size(stream.bytes), stream.retention.to_string());
        let _ = writeln!(
            text,
            "{name:width$}  {now:>10}  {rate:>12}  {kept:>8}  {steady:>10}  {}",
            days(stream.days, stream.bytes_per_day.is_some())
        );
    }
    text
}

/// `{"disk": {"total", "used"}, "days": {"low", "high", "flood"}, "growth_known", "streams": [{"stream", "bytes", "bytes_per_day", "steady_bytes",
/// "retention", "days"}], "advice": [{"topic", "told"}]}`. An interface.
pub fn forecast_json(forecast: &Forecast, advice: &[Advice]) -> Value {
    let streams = forecast.streams.iter().map(|stream| {
        json!({
            "stream": stream.stream, "bytes": stream.bytes, "bytes_per_day": stream.bytes_per_day, "steady_bytes": stream.steady_bytes,
            "retention": stream.retention.to_string(), "days": stream.days,
        })
    });
    json!({
        "disk": {"total": forecast.disk_total, "used": forecast.disk_used},
        "days": {"low": forecast.days[0], "high": forecast.days[1], "flood": forecast.days[2]},
        "growth_known": forecast.growth_known,
        "streams": streams.collect::<Vec<_>>(),
        "advice": advice.iter().map(|advice| json!({"topic": advice.topic.name(), "told": advice.told})).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::Stream;

    const GIB: u64 = 1 << 30;
    const NOW: i64 = 1000 * MILLIS_PER_DAY;

    /// A stream with one index a day of `daily` bytes for `days` days and a retention of `kept` days.
    fn case(daily: u64, history: i64, kept: Option<i64>, disk: DiskFacts) -> Forecast {
        let mut desired = Desired::default();
        let template = json!({"index_patterns": ["s"], "data_stream": {}, "template": {"lifecycle": {}}});
        desired.objects.insert((ObjectKind::IndexTemplate, "t".into()), template);
        let lifecycle = kept.map(|kept| json!({"data_retention": format!("{kept}d")}));
        desired.streams.insert("s".into(), Stream { lifecycle, ..Stream::default() });
        let index = |ago: i64| IndexFacts {
            name: format!("i{ago}"),
            stream: "s".into(),
            created_millis: NOW - ago * MILLIS_PER_DAY,
            bytes: daily,
            ..IndexFacts::default()
        };
        let indices = (1..=history).rev().map(index).collect();
        forecast(&desired, &ClusterObservation { indices, disks: vec![disk], lifecycle_running: true }, NOW)
    }

    #[test]
    fn a_stream_without_deletion_fills_the_disk_on_a_day() {
        let disk = DiskFacts { total: 100 * GIB, used: 65 * GIB, ..DiskFacts::default() };
        let told = case(GIB, 10, None, disk);
        assert_eq!(told.days, [Some(20), Some(25), Some(30)]);
        assert_eq!(told.streams[0].days, Some(20));
    }

    #[test]
    fn a_stream_that_deletes_as_much_as_it_grows_fills_no_disk() {
        let disk = DiskFacts { total: 100 * GIB, used: 65 * GIB, ..DiskFacts::default() };
        let told = case(GIB, 10, Some(10), disk.clone());
        assert_eq!(told.days, [None; 3]);
        assert_eq!(told.streams[0].steady_bytes, Some(10 * GIB));
        // It still grows until its first index is old enough: 10 of 40 days have passed.
        assert_eq!(case(GIB, 10, Some(40), disk).days, [Some(20), Some(25), Some(30)]);
    }

    #[test]
    fn the_preferred_lifecycle_sets_the_retention() {
        for (prefers, enabled, kept) in [("false", true, "7d"), ("true", true, "30d"), ("false", false, "30d")] {
            let mut desired = Desired::default();
            let settings = json!({"index.lifecycle.name": "p", "index.lifecycle.prefer_ilm": prefers});
            let template = json!({"index_patterns": ["s"], "data_stream": {}, "template": {"settings": settings}});
            desired.objects.insert((ObjectKind::IndexTemplate, "t".into()), template);
            let policy = json!({"phases": {"delete": {"min_age": "30d", "actions": {"delete": {}}}}});
            desired.objects.insert((ObjectKind::LifecyclePolicy, "p".into()), policy);
            let lifecycle = Some(json!({"data_retention": "7d", "enabled": enabled}));
            desired.streams.insert("s".into(), Stream { lifecycle, ..Stream::default() });
            let told = forecast(&desired, &ClusterObservation::default(), NOW);
            assert_eq!(told.streams[0].retention.to_string(), kept, "prefer_ilm {prefers}, enabled {enabled}");
        }
    }

    #[test]
    fn a_short_history_has_no_forecast_and_a_full_disk_is_now() {
        let disk = DiskFacts { total: 100, used: 90, ..DiskFacts::default() };
        let told = case(GIB, 0, None, disk);
        assert_eq!((told.streams[0].bytes_per_day, told.days[0], told.days[2]), (None, Some(0), None));
        assert!(forecast_text(&told).contains("low watermark (85 %): now"));
        let unknown = forecast_text(&told).matches("unknown yet (growth is measured after an hour)").count();
        assert_eq!((told.growth_known, unknown), (false, 1), "{}", forecast_text(&told));
        let roomy = case(GIB, 0, None, DiskFacts { total: 100 * GIB, used: GIB, ..DiskFacts::default() });
        assert!(!forecast_text(&roomy).contains("not within"), "{}", forecast_text(&roomy));
    }

    #[test]
    fn a_stream_that_does_not_grow_is_known_and_an_unknown_one_is_named() {
        let roomy = DiskFacts { total: 100 * GIB, used: GIB, ..DiskFacts::default() };
        let mut told = case(0, 10, None, roomy);
        assert_eq!((told.growth_known, told.days, told.streams[0].bytes_per_day), (true, [None; 3], Some(0.0)));
        assert!(forecast_text(&told).contains("low watermark (85 %): not within ten years\n"), "{}", forecast_text(&told));
        told.streams.push(StreamForecast {
            stream: "new".into(),
            bytes: 0,
            bytes_per_day: None,
            retention: DataRetention::Forever,
            steady_bytes: None,
            days: None,
        });
        let text = forecast_text(&told);
        assert!(
            text.contains("low watermark (85 %): not within ten years, without the streams of unknown growth (1)\n"),
            "{text}"
        );
    }
}
