//! Rotations against a twin that counts turn by turn, and the cases in which rotations go wrong elsewhere: changes of clocks,
//! windows over midnight, layers over layers.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use proptest::prelude::*;

use super::*;
use crate::local_window::LocalWindow;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn local(text: &str) -> DateTime {
    text.parse().unwrap()
}

fn layer(people: &[&str], starts: &str, turn_hours: u32) -> Layer {
    let people = people.iter().map(|person| (*person).to_owned()).collect();
    Layer { people, starts: local(starts), turn_hours, windows: Vec::new() }
}

fn schedule(zone: &str, layers: Vec<Layer>) -> Schedule {
    Schedule {
        commanded: Vec::new(),
        line: 1,
        gaps: false,
        name: "primary".into(),
        time_zone: TimeZone::get(zone).unwrap(),
        layers,
        calendar: Vec::new(),
        overrides: Vec::new(),
        handover_chats: Vec::new(),
        handover_notice: true,
    }
}

fn window(days: &[jiff::civil::Weekday], from: &str, to: &str) -> LocalWindow {
    LocalWindow { days: days.to_vec(), from: from.parse().unwrap(), to: to.parse().unwrap() }
}

#[test]
fn a_handover_at_nine_stays_at_nine_when_clocks_change() {
    let schedule = schedule("Europe/Berlin", vec![layer(&["ada", "grace"], "2026-03-23T09:00", 168)]);
    // Clocks go forward on 29 March: the next handover is at 07:00 UTC, not at 08:00.
    assert_eq!(on_duty(&schedule, at("2026-03-23T07:59:59Z")), None);
    assert_eq!(on_duty(&schedule, at("2026-03-23T08:00:00Z")), Some("ada"));
    assert_eq!(on_duty(&schedule, at("2026-03-30T06:59:59Z")), Some("ada"));
    assert_eq!(on_duty(&schedule, at("2026-03-30T07:00:00Z")), Some("grace"));
    assert_eq!(next_after(&schedule, at("2026-03-25T00:00:00Z")), Some((at("2026-03-30T07:00:00Z"), "grace")));
}

#[test]
fn a_turn_in_the_hour_that_comes_twice_or_never() {
    // An hour each, over the night in which 02:00 to 03:00 comes twice: ada's hour is two hours long.
    let schedule = schedule("Europe/Berlin", vec![layer(&["ada", "grace", "edsger"], "2026-10-25T02:00", 1)]);
    let names: Vec<_> = ["00:00", "00:59", "01:00", "01:59", "02:00"]
        .map(|time| on_duty(&schedule, at(&format!("2026-10-25T{time}:00Z"))).unwrap())
        .into();
    assert_eq!(names, ["ada", "ada", "ada", "ada", "grace"]);
    let schedule = self::schedule("Europe/Berlin", vec![layer(&["ada", "grace", "edsger"], "2026-03-29T01:00", 1)]);
    let names: Vec<_> =
        ["00:00", "00:59", "01:00"].map(|time| on_duty(&schedule, at(&format!("2026-03-29T{time}:00Z"))).unwrap()).into();
    assert_eq!(names, ["ada", "ada", "edsger"], "grace's hour does not exist");
}

#[test]
fn a_later_layer_counts_inside_its_windows_and_an_override_over_all() {
    use jiff::civil::Weekday::{Friday, Saturday, Sunday};
    let mut night = layer(&["edsger"], "2026-01-01T00:00", 168);
    night.windows = vec![window(&[Friday, Saturday, Sunday], "22:00", "06:00")];
    let mut schedule = schedule("Asia/Tehran", vec![layer(&["ada"], "2026-01-01T00:00", 168), night]);
    // Friday 9 January, 22:00 in Tehran is 18:30 UTC.
    assert_eq!(on_duty(&schedule, at("2026-01-09T18:29:59Z")), Some("ada"));
    assert_eq!(on_duty(&schedule, at("2026-01-09T18:30:00Z")), Some("edsger"));
    assert_eq!(on_duty(&schedule, at("2026-01-10T02:29:59Z")), Some("edsger"), "it ends on the next day");
    assert_eq!(on_duty(&schedule, at("2026-01-10T02:30:00Z")), Some("ada"));
    schedule.overrides = vec![
        Override { person: "ada".into(), from: local("2026-01-09T00:00"), to: local("2026-01-11T00:00") },
        Override { person: "grace".into(), from: local("2026-01-09T23:00"), to: local("2026-01-10T01:00") },
    ];
    assert_eq!(on_duty(&schedule, at("2026-01-09T18:30:00Z")), Some("ada"));
    assert_eq!(on_duty(&schedule, at("2026-01-09T19:30:00Z")), Some("grace"), "the last override counts");
}

#[test]
fn a_gap_is_a_shift_of_nobody_and_a_handover_is_told_once() {
    let mut days = layer(&["ada", "grace"], "2026-01-05T09:00", 24);
    days.windows = vec![window(&[], "09:00", "17:00")];
    let schedule = schedule("UTC", vec![days]);
    let (from, to) = (at("2026-01-05T09:00:00Z"), at("2026-01-06T10:00:00Z"));
    let shifts = shifts(&schedule, from, to);
    let who: Vec<_> = shifts.iter().map(|shift| (shift.from.to_string(), shift.person)).collect();
    let expected =
        [("2026-01-05T09:00:00Z", Some("ada")), ("2026-01-05T17:00:00Z", None), ("2026-01-06T09:00:00Z", Some("grace"))];
    assert_eq!(who, expected.map(|(from, person)| (from.to_owned(), person)));
    let told = handovers(&schedule, from, at("2026-01-05T17:00:00Z"));
    assert_eq!(told, [Handover { at: at("2026-01-05T17:00:00Z"), from: Some("ada"), to: None }]);
    assert_eq!(handovers(&schedule, at("2026-01-05T17:00:00Z"), at("2026-01-05T18:00:00Z")), []);
}

const ZONES: [&str; 6] = ["UTC", "Europe/Berlin", "Asia/Tehran", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"];

prop_compose! {
    fn any_window()(days in prop::collection::vec(0_i8..7, 0..4), from in 0_i8..24, to in 0_i8..24, minute in 0_i8..60) -> LocalWindow {
        let day = |index| jiff::civil::Weekday::from_monday_zero_offset(index).unwrap();
        LocalWindow {
            days: days.into_iter().map(day).collect(),
            from: jiff::civil::time(from, minute, 0, 0),
            to: jiff::civil::time(to, 0, 0, 0),
        }
    }
}

prop_compose! {
    fn any_layer()(
        people in 1_usize..5,
        start_hours in 0_i64..20_000,
        turn_hours in prop_oneof![1_u32..30, Just(24), Just(168)],
        windows in prop::collection::vec(any_window(), 0..3),
    ) -> Layer {
        let names = ["ada", "grace", "edsger", "barbara"];
        Layer {
            people: names[..people.min(4)].iter().map(|name| (*name).to_owned()).collect(),
            starts: local("2024-01-01T00:00").checked_add(SignedDuration::from_hours(start_hours)).unwrap(),
            turn_hours,
            windows,
        }
    }
}

prop_compose! {
    fn any_schedule()(
        zone in 0_usize..ZONES.len(),
        layers in prop::collection::vec(any_layer(), 1..4),
        overrides in prop::collection::vec((0_i64..30_000, 1_i64..200), 0..4),
    ) -> Schedule {
        let mut made = schedule(ZONES[zone], layers);
        made.overrides = overrides
            .into_iter()
            .map(|(from, hours)| {
                let from = local("2024-01-01T00:00").checked_add(SignedDuration::from_hours(from)).unwrap();
                let to = from.checked_add(SignedDuration::from_hours(hours)).unwrap();
                Override { person: "deputy".into(), from, to }
            })
            .collect();
        made
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Shifts follow one another without a gap or an overlap, and say at every moment what [`on_duty`] says.
    #[test]
    fn shifts_cover_the_span_and_agree_with_every_moment(
        schedule in any_schedule(),
        begin in 0_i64..30_000,
        length in 1_i64..400,
        samples in prop::collection::vec(0_i64..1000, 20),
    ) {
        let from = at("2024-01-01T00:00:00Z").checked_add(SignedDuration::from_hours(begin)).unwrap();
        let to = from.checked_add(SignedDuration::from_hours(length)).unwrap();
        let shifts = shifts(&schedule, from, to);
        prop_assert_eq!(shifts.first().unwrap().from, from);
        prop_assert_eq!(shifts.last().unwrap().to, to);
        for pair in shifts.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
            prop_assert_ne!(pair[0].person, pair[1].person);
        }
        for sample in samples {
            let seconds = length * 3600 * sample / 1000;
            let moment = from.checked_add(SignedDuration::from_secs(seconds)).unwrap();
            let shift = shifts.iter().find(|shift| shift.from <= moment && moment < shift.to).unwrap();
            prop_assert_eq!(shift.person, on_duty(&schedule, moment));
        }
    }

    /// The twin goes from the first turn to the moment, one turn after the other.
    #[test]
    fn a_layer_agrees_with_counting_turn_by_turn(layer in any_layer(), zone in 0_usize..ZONES.len(), hours in -100_i64..5_000, minute in 0_i64..60) {
        let layer = Layer { windows: Vec::new(), ..layer };
        let schedule = schedule(ZONES[zone], vec![layer.clone()]);
        let zone = &schedule.time_zone;
        let begin = zone.to_timestamp(layer.starts).unwrap();
        let moment = begin.checked_add(SignedDuration::from_mins(hours * 60 + minute)).unwrap();
        let mut expected = None;
        let mut local = layer.starts;
        for turn in 0.. {
            if zone.to_timestamp(local).unwrap() > moment {
                break;
            }
            expected = Some(layer.people[turn % layer.people.len()].as_str());
            local = local.checked_add(SignedDuration::from_hours(layer.turn_hours.into())).unwrap();
        }
        prop_assert_eq!(on_duty(&schedule, moment), expected);
    }

    /// Handovers of two spans that meet are those of the whole: none is told twice, none is lost.
    #[test]
    fn handovers_are_told_once(schedule in any_schedule(), begin in 0_i64..30_000, first in 1_i64..200, second in 1_i64..200) {
        let hours = |count| at("2024-01-01T00:00:00Z").checked_add(SignedDuration::from_hours(count)).unwrap();
        let (from, middle, to) = (hours(begin), hours(begin + first), hours(begin + first + second));
        let mut parts = handovers(&schedule, from, middle);
        parts.extend(handovers(&schedule, middle, to));
        prop_assert_eq!(parts, handovers(&schedule, from, to));
    }
}

/// Set in the hour that comes twice: moments, not local times, so that it neither begins nor ends an hour early.
#[test]
fn an_override_by_command_counts_in_the_hour_that_comes_twice() {
    let mut schedule = schedule("Europe/Berlin", vec![layer(&["ada"], "2026-10-01T00:00", 168)]);
    let shift = |from: &str, to: &str| CalendarShift { person: "grace".into(), from: at(from), to: at(to) };
    schedule.commanded = vec![shift("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")];
    for (moment, expected) in [
        ("2026-10-25T00:29:59Z", "ada"),
        ("2026-10-25T00:30:00Z", "grace"),
        ("2026-10-25T01:29:59Z", "grace"),
        ("2026-10-25T01:30:00Z", "ada"),
    ] {
        assert_eq!(on_duty(&schedule, at(moment)), Some(expected), "{moment}");
    }
    assert_eq!(next_after(&schedule, at("2026-10-25T00:40:00Z")), Some((at("2026-10-25T01:30:00Z"), "ada")));
    // It replaces an override of the configuration.
    schedule.overrides =
        vec![Override { person: "edsger".into(), from: local("2026-10-25T00:00"), to: local("2026-10-26T00:00") }];
    assert_eq!(on_duty(&schedule, at("2026-10-25T01:00:00Z")), Some("grace"));
}
