//! This module parses single values, and describes their expected form in faults.

use std::{net::SocketAddr, time::Duration};

use jiff::{civil, tz::TimeZone};

/// A type that one scalar of the file can hold.
pub trait Value: Sized {
    /// The expected form, as the end of "write it as …".
    const SHAPE: &'static str;
    /// Whether a fault may show an invalid value. Not for values that may contain a password.
    const SHOWN: bool = true;

    fn parse(text: &str) -> Option<Self>;

    /// Placeholder for a value that could not be read. A configuration that contains one must not leave this module.
    fn stand_in() -> Self;
}

macro_rules! from_str {
    ($($type:ty, $shape:literal, $stand_in:expr;)*) => {$(
        impl Value for $type {
            const SHAPE: &'static str = $shape;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn stand_in() -> Self {
                $stand_in
            }
        }
    )*};
}

from_str! {
    u16, "a whole number up to 65535", 0;
    u32, "a whole number", 0;
    u64, "a whole number", 0;
    usize, "a whole number", 0;
    i32, "a whole number", 0;
    i64, "a whole number", 0;
    f64, "a number", 0.0;
    SocketAddr, "address:port, as 127.0.0.1:9095", SocketAddr::from(([127, 0, 0, 1], 0));
    civil::Time, "a time of day, as \"09:00\"", civil::Time::midnight();
    civil::DateTime, "a local date and time, as 2026-01-05T09:00", civil::DateTime::MIN;
}

impl Value for String {
    const SHAPE: &'static str = "text";

    fn parse(text: &str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| text.to_owned())
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

impl Value for bool {
    const SHAPE: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn stand_in() -> Self {
        false
    }
}

impl Value for TimeZone {
    const SHAPE: &'static str = "a time zone of the IANA database, as Asia/Tehran or UTC";

    fn parse(text: &str) -> Option<Self> {
        TimeZone::get(text).ok()
    }

    fn stand_in() -> Self {
        TimeZone::UTC
    }
}

const UNITS: [(&str, u64); 6] = [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Durations in Prometheus's syntax: `250ms`, `30s`, `1h30m`, `90d`; larger units first, each once.
impl Value for Duration {
    const SHAPE: &'static str = "a duration, as 30s, 5m, 1h30m or 90d";

    fn parse(text: &str) -> Option<Self> {
        let (mut rest, mut milliseconds, mut largest) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let (number, behind) = rest.split_at(rest.find(|character: char| !character.is_ascii_digit())?);
            let (unit, behind) =
                behind.split_at(behind.find(|character: char| character.is_ascii_digit()).unwrap_or(behind.len()));
            let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
            if *size >= largest {
                return None;
            }
            milliseconds = milliseconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*size)?)?;
            (rest, largest) = (behind, *size);
        }
        (!text.is_empty()).then(|| Duration::from_millis(milliseconds))
    }

    fn stand_in() -> Self {
        Self::ZERO
    }
}

/// A size in bytes, as `512KiB`, `32MiB` or `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Value for Bytes {
    const SHAPE: &'static str = "a size, as 512KiB, 32MiB or 2GiB";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit())?);
        let shift = match unit {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(1 << shift).map(Self)
    }

    fn stand_in() -> Self {
        Self(0)
    }
}

/// An address with `http://` or `https://`, without user, password, query or a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpAddress(pub String);

impl Value for HttpAddress {
    const SHAPE: &'static str = "http://host:port or https://host/path, without user, password or query";
    const SHOWN: bool = false;

    fn parse(text: &str) -> Option<Self> {
        let url = reqwest::Url::parse(text).ok()?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.has_host();
        plain.then(|| Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    fn stand_in() -> Self {
        Self(String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_prometheus_syntax() {
        for (text, seconds) in [("30s", 30), ("1h30m", 5400), ("90d", 7_776_000), ("1w", 604_800), ("0s", 0)] {
            assert_eq!(Duration::parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "5", "s", "1.5s", "-1s", "1m1h", "1s1s", "5 s", "5y", "99999999999999999999s"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn amounts_and_addresses() {
        assert_eq!(Bytes::parse("32MiB"), Some(Bytes(33_554_432)));
        assert_eq!((Bytes::parse("32"), Bytes::parse("32MB"), Bytes::parse("99999999999GiB")), (None, None, None));
        assert_eq!(HttpAddress::parse("https://a.example/x/"), Some(HttpAddress("https://a.example/x".into())));
        for wrong in ["a.example", "ftp://a", "http://u:p@a", "http://a?x=1", "http://"] {
            assert_eq!(HttpAddress::parse(wrong), None, "{wrong}");
        }
    }
}
