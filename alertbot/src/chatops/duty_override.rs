//! This module handles `/override`: a person is on duty in a schedule until a time.

use alertbot_core::message::{
    Reader,
    catalogue::{Text, say},
};
use jiff::{
    SignedDuration, Span, SpanRelativeTo, Timestamp, ToSpan,
    civil::{DateTime, Time},
    tz::TimeZone,
};

use super::BotContext;
use crate::{
    config::{Person, Role},
    writer::{Unavailable, duty_override::SetDutyOverride},
};

/// Longest override. A longer one belongs in the configuration.
const LONGEST: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The arguments of the command.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    schedule: &'a str,
    /// `None`: the sender.
    person: Option<&'a str>,
    when: &'a str,
}

fn read(text: &str) -> Option<Asked<'_>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [schedule, when] => Some(Asked { schedule, person: None, when }),
        [schedule, person, when] => Some(Asked { schedule, person: Some(person), when }),
        _ => None,
    }
}

/// `8h`, `1d`, `1h30m`; `08:00`, the next such time in the schedule's zone; or `2026-12-24T08:00` there. `None` for another
/// text, a time with an offset, or a longer time.
///
/// A time that occurs twice, because clocks are set back, is the next one. A time that is skipped is as much later.
fn end(when: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let has_only = |others: &[u8]| when.bytes().all(|byte| byte.is_ascii_digit() || others.contains(&byte));
    let end = if when.contains('T') && when.matches('-').count() == 2 && has_only(b":-T") {
        next_of(when.parse::<DateTime>().ok()?, now, zone)?
    } else if when.contains(':') {
        // The parser would also accept a date or an offset, and ignore it.
        let time: Time = has_only(b":").then(|| when.parse().ok())??;
        let today = zone.to_datetime(now).date();
        let days = (0..=2).filter_map(|day| today.checked_add(day.days()).ok());
        days.filter_map(|day| next_of(day.to_datetime(time), now, zone)).next()?
    } else {
        let span: Span = when.parse().ok()?;
        now.checked_add(span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?).ok()?
    };
    (end > now && end.duration_since(now) <= LONGEST).then_some(end)
}

/// The first moment after `now` that has this local time.
fn next_of(local: DateTime, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let moments = [zone.to_ambiguous_timestamp(local).compatible(), zone.to_ambiguous_timestamp(local).later()];
    moments.into_iter().flatten().find(|moment| *moment > now)
}

/// The outcome, and the answer as plain text.
pub(super) async fn set_override(
    context: &BotContext,
    text: &str,
    person: &Person,
    reader: &Reader,
) -> Result<(&'static str, String), Unavailable> {
    let routing = &context.writer.routing;
    let say = |saying| say(reader.language, saying);
    let names: Vec<&str> = routing.config.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    if names.is_empty() {
        return Ok(("nothing", say(Text::NoSchedules)));
    }
    let usage = format!("/override {} [{}] 8h | 08:00 | 2026-12-24T08:00 | off", names.join("|"), person.name);
    let usage = || ("nothing", say(Text::Usage { usage: &usage }));
    let Some(asked) = read(text) else { return Ok(usage()) };
    let Some(schedule) = routing.config.schedule(asked.schedule) else { return Ok(usage()) };
    let (name, by) = (schedule.name.clone(), person.name.clone());
    if asked.when == "off" {
        let own = routing.duty_override(&name, reader.now).is_none_or(|known| known.person == person.name);
        if !own && person.role < Role::Admin {
            return Ok(("refused", say(Text::RoleForbids)));
        }
        let ended = context.writer.perform(SetDutyOverride { schedule: name.clone(), duty_override: None, by }).await?;
        let saying = if ended { Text::OverrideEnded { schedule: &name } } else { Text::NoOverride { schedule: &name } };
        return Ok((if ended { "done" } else { "nothing" }, say(saying)));
    }
    let other = match asked.person {
        Some(other) => routing.config.person(other),
        None => Some(person),
    };
    // A viewer could not acknowledge.
    let Some(stands_in) = other.filter(|other| other.role >= Role::Responder) else { return Ok(usage()) };
    if stands_in.name != person.name && person.role < Role::Admin {
        return Ok(("refused", say(Text::RoleForbids)));
    }
    let Some(until) = end(asked.when, reader.now, &schedule.time_zone) else { return Ok(usage()) };
    let duty_override = Some((stands_in.name.clone(), until));
    context.writer.perform(SetDutyOverride { schedule: name.clone(), duty_override, by }).await?;
    let until = reader.clock(until);
    Ok(("done", say(Text::Overridden { schedule: &name, person: &stands_in.name, until: &until })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_ends_after_a_duration_or_at_a_time() {
        let zone = TimeZone::get("Asia/Tehran").unwrap();
        let now: Timestamp = "2026-11-30T18:30:00Z".parse().unwrap();
        let ends = |when: &str| end(when, now, &zone).map(|end| end.to_string());
        for (when, expected) in [
            ("8h", Some("2026-12-01T02:30:00Z")),
            ("1h30m", Some("2026-11-30T20:00:00Z")),
            ("1d", Some("2026-12-01T18:30:00Z")),
            // It is half past ten in the evening there: eight in the morning is tomorrow, eleven is tonight.
            ("08:00", Some("2026-12-01T04:30:00Z")),
            ("23:00", Some("2026-11-30T19:30:00Z")),
            // A date is the schedule's, too.
            ("2026-12-02T08:00", Some("2026-12-02T04:30:00Z")),
            ("2026-12-01T00:00:30", Some("2026-11-30T20:30:30Z")),
            ("2020-01-01T08:00", None),
            ("2026-12-24T08:00", None),
            ("2026-13-45T09:00", None),
            ("2026-12-02", None),
            ("2026-12-02T08:00+01:00", None),
            ("2026-12-02T08:00Z", None),
            ("08:00+03:30", None),
            ("08:00-03", None),
            ("2026-12-02T08:00-03", None),
            ("T08:00", None),
            ("15d", None),
            ("0h", None),
            ("-2h", None),
            ("tomorrow", None),
            ("25:00", None),
        ] {
            assert_eq!(ends(when), expected.map(str::to_owned), "{when}");
        }
        // The clocks go from three to two on 25 October, and from two to three on 29 March.
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (now, when, expected) in [
            ("2026-10-25T00:10:00Z", "02:30", Some("2026-10-25T00:30:00Z")),
            ("2026-10-25T00:50:00Z", "02:30", Some("2026-10-25T01:30:00Z")),
            ("2026-10-25T01:10:00Z", "02:30", Some("2026-10-25T01:30:00Z")),
            ("2026-10-25T01:10:00Z", "2026-10-25T02:30", Some("2026-10-25T01:30:00Z")),
            ("2026-10-25T01:50:00Z", "02:30", Some("2026-10-26T01:30:00Z")),
            ("2026-10-25T01:50:00Z", "2026-10-25T02:30", None),
            ("2026-03-29T00:50:00Z", "02:30", Some("2026-03-29T01:30:00Z")),
            ("2026-03-28T20:00:00Z", "2026-03-29T02:30", Some("2026-03-29T01:30:00Z")),
            ("2026-03-29T01:40:00Z", "02:30", Some("2026-03-30T00:30:00Z")),
            ("2026-03-29T00:50:00Z", "1d", Some("2026-03-30T00:50:00Z")),
        ] {
            let found = end(when, now.parse().unwrap(), &zone).map(|end| end.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{now} {when}");
        }
        assert_eq!(read("primary 8h"), Some(Asked { schedule: "primary", person: None, when: "8h" }));
        assert_eq!((read("primary"), read("a b c d")), (None, None));
    }
}
