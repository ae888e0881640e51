//! Calendars as Google, Outlook and PagerDuty write them, and faulty ones.

use super::*;

fn names() -> CalendarNames {
    let others = [("ada@example.com", "ada"), ("Grace Hopper", "grace")];
    let others = others.into_iter().map(|(name, person)| (name.to_owned(), person.to_owned())).collect();
    CalendarNames::new(["ada", "grace", "edsger"], &others)
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn event(lines: &str) -> String {
    format!("BEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\n", lines.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n"))
}

fn calendar(parts: &[String]) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n{}END:VCALENDAR\r\n", parts.concat())
}

fn content(now: &str, parts: &[String]) -> CalendarContent {
    read(&calendar(parts), &names(), &zone(), now.parse().unwrap()).unwrap()
}

/// Person, start and end of each shift.
fn shifts(now: &str, parts: &[String]) -> Vec<String> {
    let content = content(now, parts);
    assert_eq!(content.skipped, [""; 0]);
    content.shifts.iter().map(|shift| format!("{} {} {}", shift.person, shift.from, shift.to)).collect()
}

/// A weekly turn from before the clocks change. It stays at nine in Berlin, and its rule ends at a time in UTC.
#[test]
fn a_recurring_shift_stays_at_its_local_time() {
    let weekly = event(
        "UID:1
         SUMMARY:ada
         DTSTART;TZID=Europe/Berlin:20260309T090000
         DTEND;TZID=Europe/Berlin:20260316T090000
         RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20260406T070000Z",
    );
    let expected = [
        "ada 2026-03-09T08:00:00Z 2026-03-16T08:00:00Z",
        "ada 2026-03-23T08:00:00Z 2026-03-30T07:00:00Z",
        "ada 2026-04-06T07:00:00Z 2026-04-13T07:00:00Z",
    ];
    assert_eq!(shifts("2026-03-10T00:00:00Z", &[weekly]), expected);
}

/// A changed occurrence has another SEQUENCE than its series in Google's calendars. A cancelled one and an EXDATE remove theirs.
#[test]
fn a_changed_occurrence_replaces_the_one_that_it_names() {
    let daily = event(
        "UID:1
         SUMMARY:ada
         SEQUENCE:2
         DTSTART;TZID=Europe/Berlin:20260105T090000
         DTEND;TZID=Europe/Berlin:20260105T170000
         RRULE:FREQ=DAILY;COUNT=5
         EXDATE;TZID=Europe/Berlin:20260107T090000",
    );
    let changed = event(
        "UID:1
         SUMMARY:grace
         SEQUENCE:7
         RECURRENCE-ID;TZID=Europe/Berlin:20260106T090000
         DTSTART;TZID=Europe/Berlin:20260106T100000
         DTEND;TZID=Europe/Berlin:20260106T180000",
    );
    let cancelled = event(
        "UID:1
         SUMMARY:ada
         STATUS:CANCELLED
         RECURRENCE-ID:20260108T080000Z
         DTSTART;TZID=Europe/Berlin:20260108T090000
         DTEND;TZID=Europe/Berlin:20260108T170000",
    );
    // The same start under another UID is another event.
    let other = event(
        "UID:2
         SUMMARY:edsger
         DTSTART:20260106T080000Z
         DTEND:20260106T090000Z",
    );
    let expected = [
        "ada 2026-01-05T08:00:00Z 2026-01-05T16:00:00Z",
        "edsger 2026-01-06T08:00:00Z 2026-01-06T09:00:00Z",
        "grace 2026-01-06T09:00:00Z 2026-01-06T17:00:00Z",
        "ada 2026-01-09T08:00:00Z 2026-01-09T16:00:00Z",
    ];
    assert_eq!(shifts("2026-01-05T00:00:00Z", &[daily, changed, cancelled, other]), expected);
}

/// Windows names, a VTIMEZONE of the calendar, times without a zone, whole days, and a time that the clocks skip.
#[test]
fn every_kind_of_time_is_resolved() {
    let custom = "BEGIN:VTIMEZONE\r\nTZID:Office\r\nX-LIC-LOCATION:Asia/Tehran\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n\
                  TZOFFSETFROM:+0330\r\nTZOFFSETTO:+0330\r\nTZNAME:+0330\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
        .to_owned();
    let one = |start: &str, end: &str| event(&format!("SUMMARY:ada\n{start}\n{end}"));
    for (start, end, expected) in [
        (
            "DTSTART;TZID=W. Europe Standard Time:20260105T090000",
            "DTEND;TZID=W. Europe Standard Time:20260105T100000",
            "ada 2026-01-05T08:00:00Z 2026-01-05T09:00:00Z",
        ),
        ("DTSTART;TZID=Office:20260105T090000", "DURATION:PT8H", "ada 2026-01-05T05:30:00Z 2026-01-05T13:30:00Z"),
        ("DTSTART:20260105T090000", "DTEND:20260105T100000", "ada 2026-01-05T08:00:00Z 2026-01-05T09:00:00Z"),
        ("DTSTART;VALUE=DATE:20260105", "DTEND;VALUE=DATE:20260107", "ada 2026-01-04T23:00:00Z 2026-01-06T23:00:00Z"),
        ("DTSTART;VALUE=DATE:20260105", "CLASS:PUBLIC", "ada 2026-01-04T23:00:00Z 2026-01-05T23:00:00Z"),
        // At two the clocks go to three.
        (
            "DTSTART;TZID=Europe/Berlin:20260329T023000",
            "DTEND;TZID=Europe/Berlin:20260329T040000",
            "ada 2026-03-29T01:30:00Z 2026-03-29T02:00:00Z",
        ),
        ("DTSTART;TZID=Europe/Berlin:20260328T090000", "DURATION:P1D", "ada 2026-03-28T08:00:00Z 2026-03-29T07:00:00Z"),
        ("DTSTART:20260105T090000Z", "DTEND;TZID=Asia/Tehran:20260105T143000", "ada 2026-01-05T09:00:00Z 2026-01-05T11:00:00Z"),
    ] {
        let now = if start.contains("202603") { "2026-03-28T00:00:00Z" } else { "2026-01-05T00:00:00Z" };
        assert_eq!(shifts(now, &[custom.clone(), one(start, end)]), [expected], "{start}");
    }
}

/// A zone of one observance is a name with its rules.
fn zone_of(name: &str, observances: &[(&str, &str, &str, &str)]) -> String {
    let parts = observances.iter().map(|(kind, start, to, rule)| {
        format!("BEGIN:{kind}\r\nDTSTART:{start}\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:{to}\r\n{rule}END:{kind}\r\n")
    });
    format!("BEGIN:VTIMEZONE\r\nTZID:{name}\r\n{}END:VTIMEZONE\r\n", parts.collect::<String>())
}

/// Outlook defines a zone under a name that no table contains, or quotes the label of its list. The rules of the file apply, also
/// south of the equator, with a rule that has ended, and with an offset of a quarter hour.
#[test]
fn a_zone_that_the_calendar_defines_applies_by_its_rules() {
    let yearly = |month: u8, day: &str| format!("RRULE:FREQ=YEARLY;BYMONTH={month};BYDAY={day}\r\n");
    let (march, october) = (yearly(3, "-1SU"), yearly(10, "-1SU"));
    let berlin = zone_of(
        "Customized Time Zone",
        &[("STANDARD", "16010101T030000", "+0100", &october), ("DAYLIGHT", "16010101T020000", "+0200", &march)],
    );
    let (april, south) = (yearly(4, "1SU"), yearly(10, "1SU"));
    let sydney = zone_of(
        "Head office",
        &[("DAYLIGHT", "16010101T020000", "+1100", &south), ("STANDARD", "16010101T030000", "+1000", &april)],
    );
    let abolished = "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=4FR;UNTIL=20220321T000000Z\r\n";
    let tehran =
        zone_of("Plant", &[("DAYLIGHT", "20080321T000000", "+0430", abolished), ("STANDARD", "20220922T000000", "+0330", "")]);
    let nepal = zone_of("Branch", &[("STANDARD", "19700101T000000", "+0545", "")]);
    let zones = [berlin, sydney, tehran, nepal];
    for (name, day, expected) in [
        ("Customized Time Zone", "20260105", "2026-01-05T08:00:00Z"),
        ("Customized Time Zone", "20260328", "2026-03-28T08:00:00Z"),
        ("Customized Time Zone", "20260329", "2026-03-29T07:00:00Z"),
        ("\"Customized Time Zone\"", "20261025", "2026-10-25T08:00:00Z"),
        ("Head office", "20260105", "2026-01-04T22:00:00Z"),
        ("Head office", "20260405", "2026-04-04T23:00:00Z"),
        ("Plant", "20260705", "2026-07-05T05:30:00Z"),
        ("Branch", "20260105", "2026-01-05T03:15:00Z"),
        ("\"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna\"", "20260705", "2026-07-05T07:00:00Z"),
        ("\"tzone://Microsoft/Utc\"", "20260705", "2026-07-05T09:00:00Z"),
        ("Eastern Standard Time", "20260705", "2026-07-05T13:00:00Z"),
        ("FLE Standard Time", "20260705", "2026-07-05T06:00:00Z"),
    ] {
        let one = event(&format!("SUMMARY:ada\nDTSTART;TZID={name}:{day}T090000\nDURATION:PT1H"));
        let now = format!("{}-{}-{}T00:00:00Z", &day[..4], &day[4..6], &day[6..]);
        let mut parts = zones.to_vec();
        parts.push(one);
        let found = shifts(&now, &parts);
        assert!(found.len() == 1 && found[0].starts_with(&format!("ada {expected}")), "{name} {day}: {found:?}");
    }
}

/// A definition that cannot be applied is an error with the name of the zone.
#[test]
fn a_zone_with_other_rules_is_named() {
    let one = "SUMMARY:ada\nDTSTART;TZID=Odd:20260105T090000\nDURATION:PT1H";
    let other = "RRULE:FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=8,9,10,11,12,13,14;BYDAY=SU\r\n";
    let plain = "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\r\n";
    for (zone, reason) in [
        (zone_of("Odd", &[("DAYLIGHT", "20070311T020000", "-0400", plain)]), "has no STANDARD"),
        (
            zone_of("Odd", &[("STANDARD", "20071104T020000", "-0500", ""), ("DAYLIGHT", "20070311T020000", "-0400", plain)]),
            "its summer time has no end",
        ),
        (
            zone_of("Odd", &[("STANDARD", "20071104T020000", "-0500", ""), ("DAYLIGHT", "20070311T020000", "-0400", other)]),
            "only yearly changes on a weekday of a month are supported",
        ),
        (zone_of("Odd", &[("STANDARD", "20071104T020000", "nonsense", "")]), "TZOFFSETTO"),
    ] {
        let found = content("2026-01-05T00:00:00Z", &[zone, event(one)]);
        assert!(found.shifts.is_empty() && found.skipped.len() == 1, "{reason}: {found:?}");
        let said = &found.skipped[0];
        assert!(said.contains("time zone \"Odd\"") && said.contains(reason), "{said}");
    }
}

#[test]
fn an_event_names_its_person_by_attendee_or_summary() {
    let named =
        |lines: &str| content("2026-01-05T00:00:00Z", &[event(&format!("{lines}\nDTSTART:20260105T090000Z\nDURATION:PT1H"))]);
    for (lines, person) in [
        ("SUMMARY:On call\nATTENDEE;CN=Somebody:MAILTO:Ada@Example.com", "ada"),
        ("SUMMARY:On call\nATTENDEE;CN=Grace Hopper:mailto:gh@example.com", "grace"),
        ("SUMMARY:On Call - Grace Hopper - Primary", "grace"),
        ("SUMMARY:EDSGER", "edsger"),
        (
            "SUMMARY:On call\nATTENDEE;PARTSTAT=DECLINED:mailto:ada@example.com\nATTENDEE;CN=Grace Hopper:mailto:gh@example.com",
            "grace",
        ),
        ("SUMMARY:primary: ada (until nine)", "ada"),
    ] {
        let found = named(lines);
        assert_eq!((found.shifts[0].person.as_str(), found.skipped.len()), (person, 0), "{lines}");
    }
    for (lines, reason) in [
        ("SUMMARY:Adaptation workshop", "names no person"),
        ("SUMMARY:ada and grace", "names several people: ada, grace"),
        ("DESCRIPTION:ada", "names no person"),
    ] {
        let found = named(lines);
        assert!(found.shifts.is_empty() && found.skipped[0].contains(reason), "{lines}: {:?}", found.skipped);
    }
}

#[test]
fn an_event_without_effect_has_a_reason() {
    for (lines, reason) in [
        ("DTSTART;TZID=Mars/Olympus:20260105T090000\nDURATION:PT1H", "unknown time zone \"Mars/Olympus\""),
        ("DTSTART:20260105T090000Z", "has no end"),
        ("DTSTART:20260105T090000Z\nDTEND:20260105T080000Z", "ends before it begins"),
        ("DTEND:20260105T080000Z", "has no DTSTART"),
        ("DTSTART:20260105T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;UNTIL=20250101T000000Z", "ntil"),
        ("RECURRENCE-ID;RANGE=THISANDFUTURE:20260105T090000Z\nDTSTART:20260105T090000Z\nDURATION:PT1H", "THISANDFUTURE"),
    ] {
        let found = content("2026-01-05T00:00:00Z", &[event(&format!("UID:1\nSUMMARY:ada\n{lines}"))]);
        assert!(found.shifts.is_empty(), "{lines}");
        assert!(found.skipped.len() == 1 && found.skipped[0].contains(reason), "{lines}: {:?}", found.skipped);
    }
}

#[test]
fn a_text_that_is_not_a_complete_calendar_is_refused() {
    let whole = calendar(&[event("SUMMARY:ada\nDTSTART:20260105T090000Z\nDURATION:PT1H")]);
    let read = |text: &str| read(text, &names(), &zone(), "2026-01-05T00:00:00Z".parse().unwrap());
    for text in ["", "<html>Log in</html>", &whole[..whole.len() - 20], &whole[..40]] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(read(&format!("\u{feff}{whole}\r\n")).is_ok());
    assert!(read(&whole.replace("\r\n", "\n")).is_ok());
}

/// A rule without an end costs only what it has up to the horizon; a rule with too many occurrences refuses the calendar.
#[test]
fn recurrences_are_bounded() {
    let rule = |start: &str, rule: &str| event(&format!("SUMMARY:ada\nDTSTART:{start}\nDURATION:PT1M\nRRULE:{rule}"));
    let years = [rule("20100101T000000Z", "FREQ=DAILY"), rule("20100101T000000Z", "FREQ=WEEKLY;BYDAY=MO,TH")];
    assert!(content("2026-01-05T00:00:00Z", &years).shifts.len() > 120);
    let text = calendar(&[rule("20250101T000000Z", "FREQ=MINUTELY")]);
    let refused = read(&text, &names(), &zone(), "2026-01-05T00:00:00Z".parse().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("has more than 100000 occurrences"), "{refused}");
    let later = [rule("20300101T000000Z", "FREQ=DAILY")];
    assert_eq!(content("2026-01-05T00:00:00Z", &later).shifts, []);
}

/// Several rules of one event apply together, and a prefix of a program before the name of a zone is ignored.
#[test]
fn several_rules_and_prefixed_zones_are_read() {
    let both = event(
        "UID:1
         SUMMARY:ada
         DTSTART;TZID=/freeassociation.sourceforge.net/Europe/Berlin:20260105T090000
         DURATION:PT1H
         RRULE:FREQ=DAILY;COUNT=2
         RRULE:FREQ=WEEKLY;COUNT=2",
    );
    let expected = [
        "ada 2026-01-05T08:00:00Z 2026-01-05T09:00:00Z",
        "ada 2026-01-06T08:00:00Z 2026-01-06T09:00:00Z",
        "ada 2026-01-12T08:00:00Z 2026-01-12T09:00:00Z",
    ];
    assert_eq!(shifts("2026-01-05T00:00:00Z", &[both]), expected);
    let day = event("SUMMARY:ada\nDTSTART;VALUE=DATE:20260105\nDTEND;VALUE=DATE:20260105");
    assert_eq!(shifts("2026-01-05T00:00:00Z", &[day]), ["ada 2026-01-04T23:00:00Z 2026-01-05T23:00:00Z"]);
    // On 29 March the clocks skip half past two: that night has no shift, and the others stay.
    let night = event(
        "SUMMARY:ada
         DTSTART;TZID=Europe/Berlin:20260328T023000
         DTEND;TZID=Europe/Berlin:20260328T031500
         RRULE:FREQ=DAILY;COUNT=3",
    );
    let expected = ["ada 2026-03-28T01:30:00Z 2026-03-28T02:15:00Z", "ada 2026-03-30T00:30:00Z 2026-03-30T01:15:00Z"];
    assert_eq!(shifts("2026-03-28T00:00:00Z", &[night]), expected);
}
