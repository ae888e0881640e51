//! This module checks the cron expressions of snapshot lifecycle policies: second, minute, hour, day of the month, month, day
//! of the week, and optionally a year. Pure.
//!
//! Source: "Cron expressions" of the 9.x reference. Elasticsearch also accepts forms without a clear meaning, such as
//! `MONDAY`, a step of 0 or an eighth field; these are refused.

/// The numbers and names of a field.
struct Field {
    least: u32,
    most: u32,
    /// Names of the numbers from [`Field::least`] on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 7] = [
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 59, names: &[] },
    Field { least: 0, most: 23, names: &[] },
    Field { least: 1, most: 31, names: &[] },
    Field { least: 1, most: 12, names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"] },
    Field { least: 1, most: 7, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
    Field { least: 1970, most: 2199, names: &[] },
];
const DAY_OF_MONTH: usize = 3;
const DAY_OF_WEEK: usize = 5;
/// `L-30` is the first day of a month with 31 days.
const MOST_BEFORE_LAST: u32 = 30;
/// `MON#5`: a month has at most five Mondays.
const MOST_WEEKS: u32 = 5;

/// Whether the text is a cron expression.
pub fn is_valid(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let fields: Vec<&str> = text.split_whitespace().collect();
    (6..=7).contains(&fields.len())
        && fields.iter().enumerate().all(|(place, field)| field_is_valid(place, field))
        // Exactly one of the two day fields is `?`.
        && (fields[DAY_OF_MONTH] == "?") != (fields[DAY_OF_WEEK] == "?")
}

fn field_is_valid(place: usize, text: &str) -> bool {
    let field = &FIELDS[place];
    let special = match place {
        DAY_OF_MONTH => day_of_month(field, text),
        DAY_OF_WEEK => day_of_week(field, text),
        _ => false,
    };
    special || text.split(',').all(|part| field.part(part))
}

/// `?`, the last day or a day before it, and working days. These are alone in their field.
fn day_of_month(field: &Field, text: &str) -> bool {
    if matches!(text, "?" | "L" | "LW") {
        return true;
    }
    if let Some(before) = text.strip_prefix("L-") {
        return number(before.strip_suffix('W').unwrap_or(before)).is_some_and(|days| days <= MOST_BEFORE_LAST);
    }
    text.strip_suffix('W').is_some_and(|day| field.number(day).is_some())
}

/// `?`, Saturday (`L`), the last Friday of the month (`6L`) and its second Monday (`2#2`). These are alone in their field.
fn day_of_week(field: &Field, text: &str) -> bool {
    if matches!(text, "?" | "L") {
        return true;
    }
    if let Some((day, week)) = text.split_once('#') {
        return field.one(day).is_some() && number(week).is_some_and(|week| (1..=MOST_WEEKS).contains(&week));
    }
    text.strip_suffix('L').is_some_and(|day| field.one(day).is_some())
}

impl Field {
    /// `*`, one value or a range, each optionally with a step. `/5` is `*/5`.
    fn part(&self, text: &str) -> bool {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (text, None),
        };
        let steps = step.is_none_or(|step| number(step).is_some_and(|step| (1..=self.most).contains(&step)));
        let values = match range.split_once('-') {
            // Both are numbers, or both are names.
            Some((from, to)) => {
                self.number(from).is_some() && self.number(to).is_some() || self.name(from).is_some() && self.name(to).is_some()
            }
            None => range == "*" || range.is_empty() && step.is_some() || self.one(range).is_some(),
        };
        steps && values
    }

    fn one(&self, text: &str) -> Option<u32> {
        self.number(text).or_else(|| self.name(text))
    }

    fn number(&self, text: &str) -> Option<u32> {
        number(text).filter(|number| (self.least..=self.most).contains(number))
    }

    fn name(&self, text: &str) -> Option<u32> {
        let place = self.names.iter().position(|name| *name == text)?;
        Some(self.least + u32::try_from(place).ok()?)
    }
}

/// Digits only: `parse` would accept a sign.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn expressions_of_the_reference_are_valid() {
        for text in [
            "0 30 1 * * ?",
            "0 0 0 L-3 * ?",
            "0 0 0 L-2W * ?",
            "0 0 0 LW * ?",
            "0 0 0 15W * ?",
            "0 0 0 ? * 6L",
            "0 0 0 ? * friL",
            "0 0 0 ? * 2#1",
            "0 0 0 ? * MON-FRI",
            "0 0/15 * * * ?",
            "0 /5 * * * ?",
            "0 5,35 9-17/2 1 JAN,jul ? 2030",
            "0 0 22-2 * * ?",
        ] {
            assert!(is_valid(text), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "0 0 0 * * *",
            "0 0 0 ? * ?",
            "0 0 0 ? * 7#6",
            "0 0 0 ? * 2#0",
            "0 0 0 ? * 2#1,3#1",
            "0 0 0 W * ?",
            "0 0 0 L,1 * ?",
            "0 0 0 32W * ?",
            "0 0 0 L-31 * ?",
            "0 0 0 ? * 6L,2L",
            "0 0 0 ? XXX *",
            "0 0 0 ? 1-FEB *",
            "0 60 0 1 * ?",
            "0 0/60 0 1 * ?",
            "0 0/0 0 1 * ?",
            "0 +5 0 1 * ?",
            "0 0 0 1 *",
            "0 0 0 1 * ? * *",
            "0 0 0 1 1 ? 1969",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
