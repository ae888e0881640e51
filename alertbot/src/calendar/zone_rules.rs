//! This module reads the rules of a `VTIMEZONE` whose name no table of time zones contains, such as Outlook's "Customized Time
//! Zone".
//!
//! - The newest observance of each kind applies: `STANDARD` alone is a fixed offset, with `DAYLIGHT` it is a yearly change.
//! - A yearly change is written as a POSIX time zone, so it must be a weekday of a month, as every calendar program writes it.
//! - Other rules are an error: a shift at the wrong hour is worse than a shift that `check` names.

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarFrequency, ICalendarProperty, ICalendarValue,
    ICalendarWeekday,
};
use jiff::tz::{Offset, TimeZone};

/// One observance, from its component.
struct Observance {
    /// Year, month, day and seconds of the day: when it first applied, by the local clock before it.
    since: (u16, u8, u8, u32),
    /// Seconds east of UTC.
    offset: i32,
    /// `M<month>.<week>.<weekday>/<time>`; `None` if it does not recur.
    change: Option<String>,
}

/// The time zone that the calendar defines under this name; `None` if it defines none.
pub(super) fn defined(calendar: &ICalendar, name: &str) -> Option<Result<TimeZone, String>> {
    let named = |zone: &&ICalendarComponent| {
        zone.property(&ICalendarProperty::Tzid).and_then(|entry| entry.values.first()).and_then(ICalendarValue::as_text)
            == Some(name)
    };
    let zone = calendar.timezones().find(named)?;
    Some(by_rules(calendar, zone).map_err(|reason| format!("time zone {name:?}: {reason}")))
}

fn by_rules(calendar: &ICalendar, zone: &ICalendarComponent) -> Result<TimeZone, String> {
    let newest = |kind: ICalendarComponentType| -> Result<Option<Observance>, String> {
        let parts = zone.component_ids.iter().filter_map(|id| calendar.components.get(*id as usize));
        let read: Result<Vec<_>, _> = parts.filter(|part| part.component_type == kind).map(observance).collect();
        Ok(read?.into_iter().max_by_key(|one| one.since))
    };
    let standard = newest(ICalendarComponentType::Standard)?.ok_or("its VTIMEZONE has no STANDARD")?;
    let daylight = newest(ICalendarComponentType::Daylight)?;
    let (standard_change, daylight) = match (standard.change, daylight) {
        (Some(back), Some(Observance { offset, change: Some(forth), .. })) => (back, (offset, forth)),
        // Summer time that was abolished, or never existed.
        (_, None | Some(Observance { change: None, .. })) => {
            return Offset::from_seconds(standard.offset).map(TimeZone::fixed).map_err(|_| "has an invalid offset".into());
        }
        (None, Some(_)) => return Err("its summer time has no end".into()),
    };
    let (offset, forth) = daylight;
    let text = format!("<STD>{}<DST>{},{forth},{standard_change}", posix(-standard.offset), posix(-offset));
    TimeZone::posix(&text).map_err(|_| "has invalid changes".into())
}

/// Seconds as POSIX writes them.
fn posix(seconds: i32) -> String {
    let (sign, all) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    format!("{sign}{}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60)
}

fn observance(part: &ICalendarComponent) -> Result<Observance, String> {
    let time = |name: &ICalendarProperty| match part.property(name).and_then(|entry| entry.values.first()) {
        Some(ICalendarValue::PartialDateTime(time)) => Ok(time),
        _ => Err(format!("its VTIMEZONE has no valid {}", name.as_str())),
    };
    let to = time(&ICalendarProperty::Tzoffsetto)?;
    let seconds = i32::from(to.tz_hour.unwrap_or(0)) * 3600 + i32::from(to.tz_minute.unwrap_or(0)) * 60;
    let start = time(&ICalendarProperty::Dtstart)?;
    let of_day = i32::from(start.hour.unwrap_or(0)) * 3600
        + i32::from(start.minute.unwrap_or(0)) * 60
        + i32::from(start.second.unwrap_or(0));
    let rule = part.property(&ICalendarProperty::Rrule).and_then(|entry| entry.values.first());
    let change = match rule {
        // A rule that has ended leaves its last state.
        Some(ICalendarValue::RecurrenceRule(rule)) if rule.until.is_none() && rule.count.is_none() => {
            let unsupported = || "only yearly changes on a weekday of a month are supported".to_owned();
            let ([month], [day]) = (rule.bymonth.as_slice(), rule.byday.as_slice()) else { return Err(unsupported()) };
            let plain = rule.freq == ICalendarFrequency::Yearly && rule.interval.is_none_or(|every| every == 1);
            let week = match day.ordwk {
                Some(-1) => 5,
                Some(week @ 1..=4) => week,
                _ => return Err(unsupported()),
            };
            if !plain || !rule.bymonthday.is_empty() || !rule.bysetpos.is_empty() || month.is_leap() {
                return Err(unsupported());
            }
            Some(format!("M{}.{week}.{}/{}", month.month(), weekday(day.weekday), posix(of_day)))
        }
        _ => None,
    };
    Ok(Observance {
        since: (start.year.unwrap_or(0), start.month.unwrap_or(0), start.day.unwrap_or(0), u32::try_from(of_day).unwrap_or(0)),
        offset: if to.tz_minus { -seconds } else { seconds },
        change,
    })
}

fn weekday(day: ICalendarWeekday) -> u8 {
    match day {
        ICalendarWeekday::Sunday => 0,
        ICalendarWeekday::Monday => 1,
        ICalendarWeekday::Tuesday => 2,
        ICalendarWeekday::Wednesday => 3,
        ICalendarWeekday::Thursday => 4,
        ICalendarWeekday::Friday => 5,
        ICalendarWeekday::Saturday => 6,
    }
}
