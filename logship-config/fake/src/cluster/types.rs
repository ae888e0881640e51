//! This module checks the types of values as Elasticsearch's object parsers do. They are lenient: they read `"1"` and 1.5 as
//! whole numbers. They refuse `null` in most places.

use serde_json::Value;

use super::units;
use crate::answer::{FakeAnswer, Refused};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Object,
    /// Only a text.
    String,
    /// A text, or a number or boolean as text.
    Text,
    Boolean,
    /// A number of 32 bits.
    Int,
    /// A number of 64 bits.
    Long,
    /// A duration; 0 may be a number.
    Duration,
    /// A duration as text.
    DurationText,
    Size,
}

/// # Errors
/// Returns the refusal of Elasticsearch's parser named `parser`.
pub fn check_type(parser: &str, key: &str, value: &Value, kind: Type) -> Refused<()> {
    let scalar = value.is_string() || value.is_number() || value.is_boolean();
    let right = match kind {
        Type::Object => value.is_object(),
        Type::String => value.is_string(),
        Type::Text => scalar,
        Type::Boolean => value.is_boolean() || value.as_str().is_some_and(|text| ["true", "false", ""].contains(&text)),
        Type::Int => number(value).is_some_and(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)),
        Type::Long if value.as_str().is_some_and(|text| text != text.trim()) => false,
        Type::Long => number(value).is_some_and(|number| number.abs() < i64::MAX as f64) || value.as_i64().is_some(),
        Type::Duration if value.is_number() => value.as_i64().is_some_and(|number| number == 0 || number == -1),
        Type::Duration | Type::DurationText => value.as_str().is_some_and(|text| units::duration(text).is_some()),
        Type::Size => value.as_str().is_some_and(|text| units::size(text).is_some()),
    };
    if right {
        return Ok(());
    }
    let reason = match value {
        Value::Null => format!("[1:2] [{parser}] {key} doesn't support values of type: VALUE_NULL"),
        value => format!("[1:2] [{parser}] failed to parse field [{key}] with value [{value}]"),
    };
    Err(FakeAnswer::error(400, "x_content_parse_exception", reason))
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// Refuses `null` anywhere except below the keys in `free`.
pub fn no_nulls(parser: &str, value: &Value, free: &[&str]) -> Refused<()> {
    let Some(section) = value.as_object() else { return Ok(()) };
    for (key, value) in section.iter().filter(|(key, _)| !free.contains(&key.as_str())) {
        if value.is_null() {
            let reason = format!("[1:2] [{parser}] {key} doesn't support values of type: VALUE_NULL");
            return Err(FakeAnswer::error(400, "x_content_parse_exception", reason));
        }
        no_nulls(parser, value, free)?;
    }
    Ok(())
}
