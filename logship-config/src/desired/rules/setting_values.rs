//! This module checks the values of index settings by the rules of `setting_table`. It must not know the name of a setting.

use serde_json::Value;

use super::{Checked, checked::At};
use crate::units::{self, NANOS_PER_MILLI};

/// The values that a setting accepts. Elasticsearch reads numbers and booleans from texts too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRule {
    /// Any text, or a list of texts.
    Any,
    /// Elasticsearch sets it itself, and refuses it when an index is created.
    Own,
    Boolean,
    /// Least and greatest.
    Whole(i64, i64),
    Decimal(f64, f64),
    /// Least and greatest, in milliseconds.
    Time(i64, i64),
    /// `-1` switches it off.
    TimeOrOff,
    /// Least and greatest, in bytes.
    Size(u64, u64),
    SizeOrOff,
    One(&'static [&'static str]),
    /// In upper or lower case.
    Word(&'static [&'static str]),
    /// A list of these words, in upper or lower case unless they begin with `_`.
    Each(&'static [&'static str]),
    /// Tiers of data, separated by commas.
    Tiers,
    /// `0-5`, `0-all` or `false`.
    Range,
    /// A time of day or milliseconds since 1970.
    Date,
    ActiveShards,
    BooleanOrWhole,
    /// A boolean, a ratio or a size.
    CompoundFormat,
}

const TIERS: [&str; 5] = ["data_content", "data_hot", "data_warm", "data_cold", "data_frozen"];

/// Checks the value of the setting `index.<name>`.
pub fn check_value(name: &str, rule: ValueRule, value: &Value, at: At, checked: &mut Checked) {
    // `null` sets the default.
    if value.is_null() {
        return;
    }
    if !rule.accepts(value) {
        checked.fault(at, format!("is {value}, which index.{name} does not accept"), rule.remedy());
    }
}

impl ValueRule {
    fn accepts(self, value: &Value) -> bool {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = text.as_str();
        let boolean = || text == "true" || text == "false";
        let whole = |least: i64, most: i64| text.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number));
        let decimal = |least: f64, most: f64| text.parse::<f64>().is_ok_and(|number| (least..=most).contains(&number));
        let nanos = |millis: i64| i128::from(millis) * NANOS_PER_MILLI;
        let time = |least, most| units::duration(text).is_some_and(|time| (nanos(least)..=nanos(most)).contains(&time));
        let size = |least, most| units::size(text).is_some_and(|bytes| (least..=most).contains(&bytes));
        let word = |words: &[&str], text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match self {
            Self::Any => true,
            Self::Own => false,
            Self::Boolean => boolean(),
            Self::Whole(least, most) => whole(least, most),
            Self::Decimal(least, most) => decimal(least, most),
            Self::Time(least, most) => time(least, most),
            Self::TimeOrOff => text == "-1" || time(0, i64::MAX),
            Self::Size(least, most) => size(least, most),
            Self::SizeOrOff => text == "-1" || size(0, u64::MAX),
            Self::One(words) => words.contains(&text),
            Self::Word(words) => word(words, text),
            Self::Each(words) => {
                let one = |text: &str| words.contains(&text) || !text.starts_with('_') && word(words, text);
                match value {
                    Value::Array(items) => items.iter().all(|item| item.as_str().is_some_and(one)),
                    _ => text.split(',').all(|text| one(text.trim())),
                }
            }
            Self::Tiers => value.is_string() && text.split(',').all(|tier| tier.is_empty() || TIERS.contains(&tier)),
            Self::Range => is_range(text),
            Self::Date => text.parse::<f64>().is_ok() && !is_year(text) || is_moment(text),
            Self::ActiveShards => text == "all" || whole(0, i64::from(i32::MAX)),
            Self::BooleanOrWhole => text.is_empty() || boolean() || whole(i64::from(i32::MIN), i64::from(i32::MAX)),
            Self::CompoundFormat => boolean() || decimal(0.0, 1.0) || size(0, u64::MAX),
        }
    }

    fn remedy(self) -> String {
        let choose = |words: &[&str]| format!("choose {}", words.join(", "));
        match self {
            Self::Any | Self::Own => "remove it".to_owned(),
            Self::Boolean => "write true or false".to_owned(),
            Self::Whole(least, most) if most >= i64::from(i32::MAX) => format!("write a whole number, {least} or more"),
            Self::Whole(least, most) => format!("write {least} to {most}"),
            Self::Decimal(least, f64::MAX) => format!("write a number, {least} or more"),
            Self::Decimal(least, most) => format!("write a number, {least} to {most}"),
            Self::Time(0, _) => "write a duration, such as 30s".to_owned(),
            Self::Time(least, i64::MAX) => format!("write a duration of at least {least}ms"),
            Self::Time(least, most) => format!("write a duration of {least}ms to {most}ms"),
            Self::TimeOrOff => "write a duration such as 30s, or -1".to_owned(),
            Self::Size(least, u64::MAX) => format!("write a size of at least {least}b, such as 512mb"),
            Self::Size(least, most) => format!("write a size of {least}b to {most}b"),
            Self::SizeOrOff => "write a size such as 512mb, or -1".to_owned(),
            Self::One(words) | Self::Word(words) | Self::Each(words) => choose(words),
            Self::Tiers => format!("{}, separated by commas", choose(&TIERS)),
            Self::Range => "write false, or a range such as 0-1 or 0-all".to_owned(),
            Self::Date => "write a moment such as 2026-11-27T00:00:00Z".to_owned(),
            Self::ActiveShards => "write all, or a number of copies".to_owned(),
            Self::BooleanOrWhole => "write true, false, or a number of characters".to_owned(),
            Self::CompoundFormat => "write true, false, a ratio from 0 to 1, or a size such as 1gb".to_owned(),
        }
    }
}

fn is_range(text: &str) -> bool {
    let Some((least, most)) = text.split_once('-') else { return text == "false" };
    let least = least.parse::<u32>();
    let most = if most == "all" { Ok(u32::MAX) } else { most.parse::<u32>() };
    matches!((least, most), (Ok(least), Ok(most)) if least <= most)
}

/// Elasticsearch reads four digits as a year, not as a moment.
fn is_year(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A date with a time of day, with or without a time zone.
fn is_moment(text: &str) -> bool {
    text.contains('T') && (text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok())
}
