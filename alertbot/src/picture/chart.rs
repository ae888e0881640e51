//! This module draws series as a PNG. It is pure.
//!
//! - plotters lays the chart out as SVG. resvg renders it with an embedded font (Vazirmatn), which shapes Latin and Persian. Fonts and
//!   libraries of the system are not used.
//! - The background is opaque, so that the chart reads the same in a dark and in a light chat.
//! - Texts are sized for a phone, which shows the chart at about a third of its width.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    sync::{Arc, LazyLock},
};

use alertbot_core::{
    alert::Labels,
    message::{
        bidi,
        markup::escape,
        split::{self, shorten},
        units::utf16_units,
    },
};
use jiff::{Timestamp, tz::TimeZone};
use plotters::{
    coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use resvg::{tiny_skia, usvg};

use super::{
    PictureFault,
    expression::Threshold,
    prometheus::PlottedSeries,
    unit::{self, Unit},
};

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 800;
const MARGIN: i32 = 40;
/// Most lines in a chart: more colours are hard to distinguish. The rest is counted.
pub const LINES: usize = 8;
const FONT: &str = "Vazirmatn";
const FONT_BYTES: &[u8] = include_bytes!("../../fonts/Vazirmatn-Regular.ttf");
const TITLE_SIZE: i32 = 54;
const WORD_SIZE: i32 = 40;
/// Height of a row of the legend.
const ROW_HEIGHT: i32 = 50;
/// Width of a column of the legend, its square included.
const COLUMN: i32 = (WIDTH as i32 - 2 * MARGIN) / 2;
/// From the begin of a column to its text.
const LEGEND_INDENT: i32 = 42;
/// Least distance of two texts on one line.
const GAP: i32 = 20;

const GROUND: RGBColor = RGBColor(20, 24, 31);
const GRID: RGBColor = RGBColor(52, 60, 72);
const WORDS: RGBColor = RGBColor(205, 213, 224);
const TITLE: RGBColor = RGBColor(250, 251, 252);
const ALARM: RGBColor = RGBColor(255, 92, 92);
const COLOURS: [RGBColor; LINES] = [
    RGBColor(90, 176, 255),
    RGBColor(255, 180, 84),
    RGBColor(126, 231, 135),
    RGBColor(210, 168, 255),
    RGBColor(94, 234, 212),
    RGBColor(255, 142, 178),
    RGBColor(242, 223, 96),
    RGBColor(166, 178, 196),
];

/// Content of a chart.
#[derive(Debug, Clone)]
pub struct Chart {
    pub title: String,
    /// The query, below the title.
    pub query: String,
    /// At most [`LINES`] are drawn.
    pub series: Vec<PlottedSeries>,
    /// Series that are not shown, for the legend.
    pub more: usize,
    pub threshold: Option<Threshold>,
    /// Unit of the values.
    pub unit: Unit,
    /// Start and end of the alert; the end is `None` while it fires.
    pub fired: Option<(Timestamp, Option<Timestamp>)>,
    pub start: Timestamp,
    pub end: Timestamp,
    /// Points further apart than this, in seconds, are not connected.
    pub step_seconds: f64,
    pub zone: TimeZone,
}

/// Removes series that do not fire. The query returns them too; `alerts` are the labels of the firing alerts. If no series
/// matches, all remain, because a rule may rename labels.
pub fn retain_firing(series: &mut Vec<PlottedSeries>, alerts: &[&Labels]) {
    /// Alerts by the labels that they share with a series: names, then values.
    type AlertsByLabels<'a> = HashMap<Vec<&'a str>, HashSet<Vec<&'a str>>>;
    let mut known: HashMap<Vec<String>, AlertsByLabels<'_>> = HashMap::new();
    let mut fires = |series: &PlottedSeries| {
        let names: Vec<String> = series.labels.keys().filter(|name| *name != "__name__").cloned().collect();
        let known = known.entry(names).or_insert_with_key(|names| {
            let mut known = AlertsByLabels::new();
            for alert in alerts {
                let (had, values): (Vec<&str>, Vec<&str>) =
                    alert.iter().filter(|(name, _)| names.iter().any(|known| known == name)).unzip();
                known.entry(had).or_default().insert(values);
            }
            known
        });
        let values = |had: &[&str]| had.iter().map(|name| series.labels[*name].as_str()).collect::<Vec<_>>();
        known.iter().any(|(had, alerts)| !had.is_empty() && alerts.contains(&values(had)))
    };
    let firing: Vec<bool> = series.iter().map(&mut fires).collect();
    if firing.contains(&true) {
        let mut firing = firing.into_iter();
        series.retain(|_| firing.next().unwrap_or_default());
    }
}

/// Sorts the series by distance towards the alarm, or by height without a threshold. Removes all but the first [`LINES`] and
/// returns the number of removed series.
pub fn truncate_to_extremes(series: &mut Vec<PlottedSeries>, threshold: Option<Threshold>) -> usize {
    let sinks = threshold.is_some_and(|threshold| threshold.operator.starts_with('<'));
    let reach = |series: &PlottedSeries| {
        let heights = series.points.iter().map(|point| if sinks { -point.1 } else { point.1 });
        heights.fold(f64::NEG_INFINITY, f64::max)
    };
    series.sort_by(|one, other| reach(other).total_cmp(&reach(one)).then_with(|| one.labels.cmp(&other.labels)));
    let more = series.len().saturating_sub(LINES);
    series.truncate(LINES);
    more
}

static FONTS: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(FONT_BYTES.to_vec());
    fonts.set_sans_serif_family(FONT);
    Arc::new(fonts)
});

/// Renders the chart as PNG.
///
/// # Errors
/// Returns an error if the renderer fails. Every number and text can be drawn.
pub fn png(chart: &Chart) -> Result<Vec<u8>, PictureFault> {
    let failed = |error: String| PictureFault::Drawing(error);
    let svg = svg(chart).map_err(|error| failed(error.to_string()))?;
    let options = usvg::Options { font_family: FONT.into(), fontdb: Arc::clone(&FONTS), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(&svg, &options).map_err(|error| failed(error.to_string()))?;
    let mut pixels = tiny_skia::Pixmap::new(WIDTH, HEIGHT).ok_or_else(|| failed("no memory for the pixels".into()))?;
    resvg::render(&tree, tiny_skia::Transform::identity(), &mut pixels.as_mut());
    drop(tree);
    encode(&pixels).map_err(|error| failed(error.to_string()))
}

/// Encodes a row at a time, so that the pixels are in memory once. The background is opaque, so alpha is dropped.
fn encode(pixels: &tiny_skia::Pixmap) -> Result<Vec<u8>, png::EncodingError> {
    const RGBA: usize = 4;
    let mut data = Vec::new();
    let mut encoder = png::Encoder::new(&mut data, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    for row in pixels.data().chunks_exact(pixels.width() as usize * RGBA) {
        let row: Vec<u8> = row.chunks_exact(RGBA).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        rows.write_all(&row)?;
    }
    rows.finish()?;
    writer.finish()?;
    Ok(data)
}

fn svg(chart: &Chart) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&GROUND)?;
        let style = |size: i32, colour: RGBColor| (FONT, size).into_font().color(&colour);
        let line = WIDTH as i32 - 2 * MARGIN;
        root.draw_text(&fitted(&chart.title, TITLE_SIZE, line, shorten), &style(TITLE_SIZE, TITLE), (MARGIN, 18))?;
        // The zone of the times below the plot, where a query that is cut off leaves room.
        let zone = chart.zone.to_offset_info(chart.end).abbreviation().to_owned();
        let room = line - GAP - width(&zone, WORD_SIZE).ceil() as i32;
        root.draw_text(&fitted(&chart.query, WORD_SIZE, room, shorten), &style(WORD_SIZE, WORDS), (MARGIN, 88))?;
        let right = style(WORD_SIZE, WORDS).pos(Pos::new(HPos::Right, VPos::Top));
        root.draw_text(&zone, &right, (WIDTH as i32 - MARGIN, 88))?;
        let rows = legend(chart).len().div_ceil(2) as i32;
        let bottom = HEIGHT as i32 - 14 - rows * ROW_HEIGHT;
        plot(chart, &root.margin(152, HEIGHT as i32 - bottom + 8, MARGIN, MARGIN))?;
        for (index, (label, colour)) in legend(chart).iter().enumerate() {
            let (x, y) = (MARGIN + (index as i32 % 2) * COLUMN, bottom + index as i32 / 2 * ROW_HEIGHT);
            root.draw(&Rectangle::new([(x, y + 5), (x + 28, y + 23)], colour.filled()))?;
            root.draw_text(label, &style(WORD_SIZE, WORDS), (x + LEGEND_INDENT, y - 2))?;
        }
        root.present()?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn plot(chart: &Chart, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let (start, end) = (seconds(chart.start), seconds(chart.end));
    let (low, high) = heights(chart);
    let (times, heights) = (ticks(start, end, &unit::TIME_STEPS), ticks(low, high, &unit::steps(chart.unit, high - low)));
    let label = |size: i32| (FONT, size).into_font().color(&WORDS);
    let mut drawing = ChartBuilder::on(area)
        .x_label_area_size(60)
        .y_label_area_size(140)
        .build_cartesian_2d(Axis { low: start, high: end, marks: times }, Axis { low, high, marks: heights })?;
    drawing
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_label_style(label(WORD_SIZE))
        .y_label_style(label(WORD_SIZE))
        .x_label_formatter(&|at| clock(*at, &chart.zone))
        .y_label_formatter(&|value| unit::format_value(*value, chart.unit))
        .draw()?;
    if let Some((since, until)) = chart.fired {
        let (from, to) = (seconds(since).max(start), until.map_or(end, seconds).min(end));
        if from < to {
            drawing.draw_series([Rectangle::new([(from, low), (to, high)], ALARM.mix(0.16).filled())])?;
            let edge = ALARM.mix(0.8).stroke_width(2);
            let edges = [since, until.unwrap_or(chart.end)].map(seconds).into_iter().filter(|at| (start..end).contains(at));
            drawing.draw_series(edges.map(|at| PathElement::new(vec![(at, low), (at, high)], edge)))?;
        }
    }
    for (series, colour) in chart.series.iter().zip(COLOURS) {
        for part in series.points.chunk_by(|one, next| next.0 - one.0 <= chart.step_seconds * 1.5) {
            match part {
                [alone] => drop(drawing.draw_series([Circle::new(*alone, 4, colour.filled())])?),
                _ => drop(drawing.draw_series(LineSeries::new(part.iter().copied(), colour.stroke_width(4)))?),
            }
        }
    }
    if let Some(threshold) = chart.threshold {
        let line = [(start, threshold.value), (end, threshold.value)];
        drawing.draw_series(DashedLineSeries::new(line, 16, 10, ALARM.stroke_width(3)))?;
        let above = threshold.value < low + (high - low) * 0.85;
        let anchor = Pos::new(HPos::Right, if above { VPos::Bottom } else { VPos::Top });
        let style = (FONT, WORD_SIZE).into_font().color(&ALARM).pos(anchor);
        let said = format!("{} {}", threshold.operator, unit::format_value(threshold.value, chart.unit));
        drawing.draw_series([Text::new(said, (end, threshold.value), style)])?;
    }
    Ok(())
}

/// An axis with given marks.
struct Axis {
    low: f64,
    high: f64,
    marks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        unit::short(*value)
    }
}

/// Texts of the legend: the labels in which the lines differ. A single line needs none.
fn legend(chart: &Chart) -> Vec<(String, RGBColor)> {
    let shown = chart.series.iter().take(LINES);
    let shared =
        |name: &str, value: &str| chart.series.iter().all(|series| series.labels.get(name).is_some_and(|of| of == value));
    let mut rows: Vec<_> = shown
        .zip(COLOURS)
        .map(|(series, colour)| {
            let own = series.labels.iter().filter(|(name, value)| !shared(name, value));
            (own.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", "), colour)
        })
        .filter(|(label, _)| !label.is_empty())
        .collect();
    let last = rows.len().saturating_sub(1);
    for (index, (label, _)) in rows.iter_mut().enumerate() {
        let more = if index == last && chart.more > 0 { format!("  (+{})", chart.more) } else { String::new() };
        let room = COLUMN - LEGEND_INDENT - GAP - width(&more, WORD_SIZE).ceil() as i32;
        // Names often differ at their end.
        *label = fitted(label, WORD_SIZE, room, |text, length| split::around(text, length, None)) + &more;
    }
    rows
}

/// Range of the axis: values and threshold with a margin, from zero if that changes little.
fn heights(chart: &Chart) -> (f64, f64) {
    let values = chart.series.iter().flat_map(|series| &series.points).map(|point| point.1);
    let (low, high) = values
        .chain(chart.threshold.map(|threshold| threshold.value))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if !(low.is_finite() && high.is_finite() && (high - low).is_finite()) {
        return (0.0, 1.0);
    }
    let low = if low > 0.0 && low < high * 0.6 { 0.0 } else { low };
    // Nearly equal values would have no marks between them.
    let is_flat = high - low <= high.abs().max(low.abs()) * FLAT;
    let air = match (is_flat, high.abs()) {
        (true, 0.0) => 1.0,
        (true, size) => size * 0.5,
        (false, _) => (high - low) * 0.08,
    };
    (if low == 0.0 { 0.0 } else { low - air }, high + air)
}

/// Values that differ by a smaller share than this are drawn as equal.
const FLAT: f64 = 1e-9;

/// Most marks on an axis.
const MARKS: f64 = 7.0;

/// Round values between `low` and `high`, at distances from `steps`, or of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64, steps: &[f64]) -> Vec<f64> {
    let least = (high - low) / MARKS;
    let power = 10f64.powf(least.log10().floor());
    let decimal = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = steps.iter().chain(&decimal).copied().find(|step| *step >= least).unwrap_or(least);
    let first = (low / step).ceil();
    (0..=MARKS as i32 + 1).map(|index| (first + f64::from(index)) * step).take_while(|at| *at <= high).collect()
}

fn seconds(moment: Timestamp) -> f64 {
    moment.as_millisecond() as f64 / 1e3
}

/// Formats as `14:05` in the zone.
fn clock(at: f64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond((at * 1e3) as i64) {
        Ok(moment) => zone.to_datetime(moment).strftime("%H:%M").to_string(),
        Err(_) => String::new(),
    }
}

/// One line without characters that a chart cannot show.
fn words(text: &str) -> String {
    let text = bidi::strip(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|one| !one.is_control()).collect()
}

/// One line within this width, shortened by `cut` to a number of characters.
fn fitted(text: &str, size: i32, room: i32, cut: impl Fn(&str, usize) -> String) -> String {
    let text = words(&cut(text, LONGEST_TEXT));
    let (mut shown, mut length) = (text.clone(), utf16_units(&text));
    while length > 1 {
        let wide = width(&shown, size);
        if wide <= room as f32 {
            break;
        }
        // Of equally wide characters, this many fit.
        length = ((length as f32 * room as f32 / wide) as usize).clamp(1, length - 1);
        shown = cut(&text, length);
    }
    shown
}

/// Longer texts never fit.
const LONGEST_TEXT: usize = 400;
/// plotters writes a font size of a text's height by this.
const HEIGHT_OF_FONT: f32 = 1.24;

/// Width of a text as it is rendered.
fn width(text: &str, size: i32) -> f32 {
    if text.trim().is_empty() {
        return 0.0;
    }
    let size = size as f32 / HEIGHT_OF_FONT;
    let text = escape(text);
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"><text font-family=\"{FONT}\" font-size=\"{size}\">{text}</text></svg>"
    );
    let options = usvg::Options { font_family: FONT.into(), fontdb: Arc::clone(&FONTS), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(&svg, &options);
    // A text that cannot be measured is drawn as it is.
    tree.map_or(0.0, |tree| tree.root().children().iter().map(|node| node.abs_bounding_box().right()).fold(0.0, f32::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_marks_are_round() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (1.0, "1"),
            (999.6, "1k"),
            (1500.0, "1.5k"),
            (-3_000_000.0, "-3M"),
            (2e-7, "2.0e-7"),
            (1e300, "1.0e300"),
        ] {
            assert_eq!(unit::short(value), text);
        }
        assert_eq!(ticks(0.0, 1.08, &[]), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(1000.0, 4600.0, &unit::TIME_STEPS), [1200.0, 1800.0, 2400.0, 3000.0, 3600.0, 4200.0]);
    }

    /// A constant 0.002 must not be flat at the bottom of an axis up to 0.5: it runs through the middle, with marks around it.
    #[test]
    fn a_constant_value_of_any_size_runs_through_the_middle() {
        for value in [1e-300, 2e-9, 0.002, 1.0, 7.0, 1e12, 1e300, -0.002, 0.0] {
            let chart = Chart { threshold: None, ..chart(vec![line(1, |_| value)]) };
            let (low, high) = heights(&chart);
            assert!(low < high && (low..high).contains(&value), "{value}: {low} to {high}");
            if value != 0.0 {
                let share = (value - low) / (high - low);
                assert!((0.2..0.8).contains(&share), "{value}: at {share} of {low} to {high}");
                assert!(high - low <= value.abs() * 1.01, "{value}: an axis from {low} to {high} shows nothing of its size");
            }
            let marks = ticks(low, high, &[]);
            assert!((3..=9).contains(&marks.len()), "{value}: {marks:?}");
            let mut labels: Vec<String> = marks.iter().map(|mark| unit::format_value(*mark, Unit::Plain)).collect();
            labels.dedup();
            assert_eq!(labels.len(), marks.len(), "{value}: {labels:?}");
        }
        let nearly = Chart { threshold: None, ..chart(vec![line(1, |x| 1.0 + x * 1e-15)]) };
        assert_eq!(heights(&nearly).1.round(), 2.0);
    }

    #[test]
    fn only_the_series_that_fire_are_drawn() {
        let alert = |instance: &str| -> Labels {
            [("alertname", "Slow"), ("severity", "critical"), ("instance", instance)].into_iter().collect()
        };
        let all: Vec<PlottedSeries> = (0..20).map(|number| line(number, |x| x)).collect();
        let kept = |alerts: &[Labels]| {
            let mut series = all.clone();
            retain_firing(&mut series, &alerts.iter().collect::<Vec<_>>());
            series.iter().map(|series| series.labels["instance"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[alert("10.0.0.7:9600"), alert("10.0.0.9:9600")]), ["10.0.0.7:9600", "10.0.0.9:9600"]);
        assert_eq!(kept(&[alert("renamed")]).len(), 20);
        assert_eq!(kept(&[]).len(), 20);
        // An alert on the sum of all series has no common label with them.
        assert_eq!(kept(&[[("alertname", "Slow")].into_iter().collect()]).len(), 20);
    }

    #[test]
    fn the_lines_nearest_to_the_alarm_are_drawn() {
        let threshold = |operator| Some(Threshold { value: 5.0, operator });
        for (threshold, first) in [(threshold(">"), 19.0), (None, 19.0), (threshold("<="), 0.0)] {
            let mut series: Vec<_> = (0..20).map(|number| line(number, move |_| number as f64)).collect();
            assert_eq!(truncate_to_extremes(&mut series, threshold), 12);
            assert_eq!((series.len(), series[0].points[0].1), (LINES, first));
        }
    }

    fn chart(series: Vec<PlottedSeries>) -> Chart {
        let start: Timestamp = "2026-01-31T11:00:00Z".parse().unwrap();
        Chart {
            title: "کند شدن پاسخ‌ها: HighLatency \u{202e}<b>&".into(),
            query: "histogram_quantile(0.99, sum by (le) (rate(exchange_http_request_duration_seconds_bucket[5m])))".into(),
            more: 0,
            series,
            threshold: Some(Threshold { value: 0.5, operator: ">" }),
            unit: Unit::Seconds,
            fired: Some((start.checked_add(jiff::SignedDuration::from_mins(37)).unwrap(), None)),
            start,
            end: start.checked_add(jiff::SignedDuration::from_hours(1)).unwrap(),
            step_seconds: 15.0,
            zone: TimeZone::UTC,
        }
    }

    fn line(number: usize, value: impl Fn(f64) -> f64) -> PlottedSeries {
        let start = seconds(chart(Vec::new()).start);
        let points = (0..240).map(|index| (start + f64::from(index) * 15.0, value(f64::from(index) / 240.0)));
        let labels = [("job".into(), "exchange".into()), ("instance".into(), format!("10.0.0.{number}:9600"))];
        PlottedSeries { labels: labels.into_iter().collect(), points: points.collect() }
    }

    /// Each chart is complete and differs from an empty one. `PICTURES=<folder>` stores them for inspection.
    #[test]
    fn every_kind_of_series_is_drawn() {
        let none = png(&chart(Vec::new())).unwrap();
        let usual = vec![line(1, |x| 0.2 + x * x * 0.6), line(2, |x| 0.15 + (x * 25.0).sin() * 0.05)];
        let many = (0..20).map(|number| line(number, move |x| number as f64 * 1e4 + x * 5e3)).collect();
        let mut gaps = line(1, |x| x);
        gaps.points.retain(|(at, _)| (at / 15.0) as i64 % 40 < 25);
        gaps.points.truncate(150);
        gaps.points.push((gaps.points[0].0 + 3500.0, 0.4));
        let kinds = [
            ("usual", usual),
            ("many", many),
            ("flat", vec![line(1, |_| 0.0)]),
            ("gaps", vec![gaps]),
            ("huge", vec![line(1, |x| 1e300 * x)]),
            ("negative", vec![line(1, |x| -5.0 - x)]),
        ];
        for (name, mut series) in kinds {
            let more = truncate_to_extremes(&mut series, None);
            assert_eq!(more, if name == "many" { 12 } else { 0 });
            let drawn = png(&Chart { more, ..chart(series) }).unwrap();
            assert!(drawn.starts_with(b"\x89PNG") && drawn.len() > 10_000 && drawn != none, "{name}: {} bytes", drawn.len());
            let mut read = png::Decoder::new(std::io::Cursor::new(&drawn)).read_info().unwrap();
            let mut pixels = vec![0; read.output_buffer_size().unwrap()];
            let frame = read.next_frame(&mut pixels).unwrap();
            assert_eq!((frame.width, frame.height, pixels.len() as u32), (WIDTH, HEIGHT, WIDTH * HEIGHT * 3), "{name}");
            assert_eq!(pixels[..3], [GROUND.0, GROUND.1, GROUND.2], "{name}: channels in the wrong order");
            if let Some(folder) = option_env!("PICTURES") {
                std::fs::write(format!("{folder}/{name}.png"), drawn).unwrap();
            }
        }
    }

    /// On a phone of 360 pixels nothing is cut off, covered by another text, or too small to read.
    #[test]
    fn every_text_is_inside_the_picture_and_apart_from_others() {
        fn texts<'a>(group: &'a usvg::Group, found: &mut Vec<&'a usvg::Text>) {
            for node in group.children() {
                match node {
                    usvg::Node::Group(group) => texts(group, found),
                    usvg::Node::Text(text) => found.push(text),
                    _ => {}
                }
            }
        }
        for text in
            ["W".repeat(300), "payment-settlement-gateway-worker-deployment-7f9c8d".into(), "پرداخت".repeat(60), "m".into()]
        {
            let named = |number: usize| {
                let mut line = line(number, |x| x * 1e4);
                line.labels = [("pod".to_owned(), format!("{text}-{number:03}"))].into();
                line
            };
            let series = (0..LINES).map(named).collect();
            let chart = Chart {
                title: text.clone(),
                query: text.clone(),
                more: 1234,
                zone: TimeZone::get("America/Argentina/ComodRivadavia").unwrap(),
                ..chart(series)
            };
            let labels: HashSet<String> = legend(&chart).into_iter().map(|(label, _)| label).collect();
            assert_eq!(labels.len(), LINES, "lines have different names: {labels:?}");
            let options = usvg::Options { font_family: FONT.into(), fontdb: Arc::clone(&FONTS), ..usvg::Options::default() };
            let tree = usvg::Tree::from_str(&svg(&chart).unwrap(), &options).unwrap();
            let mut found = Vec::new();
            texts(tree.root(), &mut found);
            // Of the shapes: the box of a text has room for letters that it does not contain.
            let boxes: Vec<_> = found.iter().map(|text| text.flattened().abs_bounding_box()).collect();
            assert!(boxes.len() > LINES + 3, "{} texts", boxes.len());
            for (index, one) in boxes.iter().enumerate() {
                let inside =
                    one.left() >= 0.0 && one.top() >= 0.0 && one.right() <= WIDTH as f32 && one.bottom() <= HEIGHT as f32;
                assert!(inside, "{text}: {one:?} is outside");
                for other in &boxes[..index] {
                    let apart = one.left() >= other.right()
                        || other.left() >= one.right()
                        || one.top() >= other.bottom()
                        || other.top() >= one.bottom();
                    assert!(apart, "{text}: {one:?} covers {other:?}");
                }
            }
            let sizes =
                found.iter().flat_map(|text| text.chunks()).flat_map(|chunk| chunk.spans()).map(|span| span.font_size().get());
            let smallest = sizes.fold(f32::INFINITY, f32::min) * 360.0 / WIDTH as f32;
            assert!(smallest >= 9.0, "{smallest} pixels on a phone");
        }
    }

    #[test]
    fn persian_is_shaped_by_the_embedded_font() {
        let with = |title: &str| png(&Chart { title: title.into(), ..chart(Vec::new()) }).unwrap();
        // Joined letters have other shapes than separate letters. A missing font would draw neither.
        assert_ne!(with("سلام"), with("س\u{200c}ل\u{200c}ا\u{200c}م"));
        assert_ne!(with("سلام"), with(""));
    }
}
