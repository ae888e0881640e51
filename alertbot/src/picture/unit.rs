//! In which unit the values of a query are: read from the names of its metrics
//! (<https://prometheus.io/docs/practices/naming/#base-units>) and from what the query makes of them. Pure.

use promql_parser::parser::{Expr, token};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// A number.
    #[default]
    Plain,
    Seconds,
    Bytes,
    BytesPerSecond,
    PerSecond,
    /// Of 1.
    Ratio,
    /// Of 100.
    Percent,
}

/// Functions of a counter's increase per second.
const PER_SECOND: [&str; 3] = ["rate", "irate", "deriv"];
/// Functions whose value has the unit of their last argument.
const SAME: [&str; 14] = [
    "abs",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "delta",
    "floor",
    "histogram_quantile",
    "idelta",
    "increase",
    "predict_linear",
    "round",
    "sort",
    "sort_desc",
];
/// `avg_over_time` and its like.
const OVER_TIME: [&str; 6] =
    ["avg_over_time", "last_over_time", "max_over_time", "min_over_time", "quantile_over_time", "sum_over_time"];

/// Of a query that is not understood, [`Unit::Plain`].
pub fn unit_of(query: &str) -> Unit {
    promql_parser::parser::parse(query).map(|expression| unit(&expression)).unwrap_or_default()
}

fn unit(expression: &Expr) -> Unit {
    match expression {
        Expr::VectorSelector(selector) => selector.name.as_deref().map(of_name).unwrap_or_default(),
        Expr::MatrixSelector(selector) => selector.vs.name.as_deref().map(of_name).unwrap_or_default(),
        Expr::Paren(inner) => unit(&inner.expr),
        Expr::Subquery(inner) => unit(&inner.expr),
        Expr::Unary(inner) => unit(&inner.expr),
        Expr::Aggregate(aggregate) => match aggregate.op.id() {
            token::T_COUNT | token::T_COUNT_VALUES | token::T_GROUP | token::T_STDVAR => Unit::Plain,
            _ => unit(&aggregate.expr),
        },
        Expr::Binary(binary) => {
            let (left, right) = (unit(&binary.lhs), unit(&binary.rhs));
            let is_number = |side: &Expr| matches!(side, Expr::NumberLiteral(_));
            match binary.op.id() {
                token::T_ADD | token::T_SUB if left == right || is_number(&binary.rhs) => left,
                token::T_ADD | token::T_SUB if is_number(&binary.lhs) => right,
                token::T_DIV if left == right && left != Unit::Plain && !is_number(&binary.rhs) => Unit::Ratio,
                token::T_LAND | token::T_LUNLESS | token::T_LOR => left,
                _ => Unit::Plain,
            }
        }
        Expr::Call(call) => match call.func.name {
            "time" | "timestamp" => Unit::Seconds,
            name if PER_SECOND.contains(&name) => match call.args.args.first().map(|argument| unit(argument)) {
                Some(Unit::Bytes) => Unit::BytesPerSecond,
                // Seconds a second are a share.
                Some(Unit::Seconds) => Unit::Ratio,
                _ => Unit::PerSecond,
            },
            name if SAME.contains(&name) || OVER_TIME.contains(&name) => {
                let value = if matches!(name, "histogram_quantile" | "quantile_over_time") {
                    call.args.args.get(1)
                } else {
                    call.args.args.first()
                };
                match (name, value.map(|value| unit(value)).unwrap_or_default()) {
                    // Of the rate of a histogram's buckets: the bounds are in the unit of its name.
                    ("histogram_quantile", _) => value.map(|value| of_buckets(value)).unwrap_or_default(),
                    (_, unit) => unit,
                }
            }
            _ => Unit::Plain,
        },
        _ => Unit::Plain,
    }
}

/// The unit of the histogram that a quantile is taken from.
fn of_buckets(expression: &Expr) -> Unit {
    match expression {
        Expr::VectorSelector(selector) => selector.name.as_deref().map(of_name).unwrap_or_default(),
        Expr::MatrixSelector(selector) => selector.vs.name.as_deref().map(of_name).unwrap_or_default(),
        Expr::Paren(inner) => of_buckets(&inner.expr),
        Expr::Aggregate(aggregate) => of_buckets(&aggregate.expr),
        Expr::Call(call) => call.args.args.first().map(|argument| of_buckets(argument)).unwrap_or_default(),
        _ => Unit::Plain,
    }
}

fn of_name(name: &str) -> Unit {
    // A recording rule: `level:metric:operations`.
    let (metric, operations) = match name.split(':').collect::<Vec<_>>().as_slice() {
        [_, metric, operations @ ..] => (*metric, operations.first().copied().unwrap_or_default()),
        _ => (name, ""),
    };
    let is_count = metric.ends_with("_count");
    let metric =
        ["_total", "_bucket", "_sum", "_count"].iter().fold(metric, |metric, end| metric.strip_suffix(end).unwrap_or(metric));
    let base = match metric.rsplit('_').next() {
        _ if is_count => Unit::Plain,
        Some("seconds") => Unit::Seconds,
        Some("bytes") => Unit::Bytes,
        Some("ratio") => Unit::Ratio,
        Some("percent") => Unit::Percent,
        _ => Unit::Plain,
    };
    match (base, operations.starts_with("rate")) {
        (Unit::Bytes, true) => Unit::BytesPerSecond,
        (Unit::Seconds, true) => Unit::Ratio,
        (Unit::Plain, true) => Unit::PerSecond,
        (base, _) => base,
    }
}

/// Distances of marks on the axis of time, in seconds.
pub(super) const TIME_STEPS: [f64; 15] =
    [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 43_200.0, 86_400.0, 604_800.0];

/// Distances of marks on an axis in this unit, where decimal ones are not what people expect.
pub fn steps(unit: Unit, span: f64) -> Vec<f64> {
    const MINUTE: f64 = 60.0;
    match unit {
        Unit::Bytes | Unit::BytesPerSecond if span >= 1024.0 => (0..60).map(|power| 2f64.powi(power)).collect(),
        Unit::Seconds if span > 2.0 * MINUTE => TIME_STEPS.to_vec(),
        _ => Vec::new(),
    }
}

/// A value in a few characters, with its unit.
pub fn format_value(value: f64, unit: Unit) -> String {
    let scaled = |scale: &[(f64, &str)]| {
        let (size, name) = scale.iter().copied().find(|(size, _)| value.abs() >= size * 0.9995).unwrap_or(scale[scale.len() - 1]);
        format!("{} {name}", short(value / size))
    };
    if value == 0.0 && !matches!(unit, Unit::Ratio | Unit::Percent) {
        return "0".into();
    }
    match unit {
        Unit::Plain => short(value),
        Unit::PerSecond => format!("{}/s", short(value)),
        Unit::Ratio => format!("{}%", short(value * 100.0)),
        Unit::Percent => format!("{}%", short(value)),
        Unit::Seconds => {
            scaled(&[(172_800.0 / 2.0, "d"), (7200.0 / 2.0, "h"), (120.0 / 2.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")])
        }
        Unit::Bytes => scaled(&BYTES),
        Unit::BytesPerSecond => format!("{}/s", scaled(&BYTES)),
    }
}

const BYTES: [(f64, &str); 6] = [
    (1_125_899_906_842_624.0, "PiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_073_741_824.0, "GiB"),
    (1_048_576.0, "MiB"),
    (1024.0, "KiB"),
    (1.0, "B"),
];

/// Significant digits of a small number.
const DIGITS: i32 = 3;

/// A number in a few characters: `0`, `0.25`, `1.5k`, `3M`, `2e-7`.
pub fn short(value: f64) -> String {
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(0.001..1e15).contains(&size) {
        return format!("{value:.1e}");
    }
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if size >= unit * 0.9995 {
            return trimmed(format!("{:.2}", value / unit)) + name;
        }
    }
    let decimals = usize::try_from(DIGITS - 1 - size.log10().floor() as i32).unwrap_or(0);
    trimmed(format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_follows_from_names_and_functions() {
        for (query, expected) in [
            ("node_filesystem_avail_bytes{mountpoint=\"/\"}", Unit::Bytes),
            ("sum by (job) (rate(node_network_receive_bytes_total[5m]))", Unit::BytesPerSecond),
            ("histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", Unit::Seconds),
            ("rate(http_requests_total[5m])", Unit::PerSecond),
            ("rate(process_cpu_seconds_total[5m])", Unit::Ratio),
            ("node_filesystem_avail_bytes / node_filesystem_size_bytes", Unit::Ratio),
            ("node_filesystem_avail_bytes / 1024", Unit::Plain),
            ("time() - process_start_time_seconds", Unit::Seconds),
            ("max_over_time(queue_oldest_seconds[10m])", Unit::Seconds),
            ("job:http_request_duration_seconds:p99", Unit::Seconds),
            ("job:http_requests:rate5m", Unit::PerSecond),
            ("http_request_duration_seconds_count", Unit::Plain),
            ("count(node_filesystem_avail_bytes)", Unit::Plain),
            ("up", Unit::Plain),
            ("sum(", Unit::Plain),
        ] {
            assert_eq!(unit_of(query), expected, "{query}");
        }
    }

    #[test]
    fn a_value_is_said_in_its_unit() {
        for (value, unit, text) in [
            (0.25, Unit::Seconds, "250 ms"),
            (2e-5, Unit::Seconds, "20 µs"),
            (90.0, Unit::Seconds, "1.5 min"),
            (7200.0, Unit::Seconds, "2 h"),
            (-0.5, Unit::Seconds, "-500 ms"),
            (0.0, Unit::Bytes, "0"),
            (1536.0, Unit::Bytes, "1.5 KiB"),
            (5e9, Unit::BytesPerSecond, "4.66 GiB/s"),
            (0.97, Unit::Ratio, "97%"),
            (12.5, Unit::Percent, "12.5%"),
            (1500.0, Unit::PerSecond, "1.5k/s"),
            (0.0015, Unit::Plain, "0.0015"),
        ] {
            assert_eq!(format_value(value, unit), text);
        }
    }
}
