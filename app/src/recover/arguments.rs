//! This module has the arguments of `exchange recover`.

use std::{fmt, str::FromStr};

use exchange_core::money::Time;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const NANOSECONDS_PER_MICROSECOND: i128 = 1_000;

#[derive(Debug, Clone, clap::Args)]
pub struct RecoverArguments {
    /// Last moment to recover: `latest`, a sequence of the journal, or a time as 2026-01-31T00:00:00Z
    #[arg(long)]
    pub until: Until,
    /// Who declares the loss of what followed; journalled
    #[arg(long, default_value = "exchange recover")]
    pub actor: String,
    /// Why; journalled
    #[arg(long, default_value = "recovered from object storage")]
    pub reason: String,
}

/// Where the recovered journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Latest,
    Sequence(i64),
    Time(Time),
}

impl Until {
    /// Whether a batch with this last sequence and journal time is recovered.
    pub const fn includes(self, sequence: i64, time: Time) -> bool {
        match self {
            Self::Latest => true,
            Self::Sequence(until) => sequence <= until,
            Self::Time(until) => time <= until,
        }
    }

    pub const fn sequence(self) -> Option<i64> {
        match self {
            Self::Sequence(sequence) => Some(sequence),
            Self::Latest | Self::Time(_) => None,
        }
    }
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(sequence) = text.parse::<i64>() {
            return if sequence > 0 { Ok(Self::Sequence(sequence)) } else { Err("a sequence is 1 or more".into()) };
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| "write `latest`, a sequence such as 12345, or a time such as 2026-01-31T00:00:00Z".to_owned())?;
        Time::try_from(moment.unix_timestamp_nanos() / NANOSECONDS_PER_MICROSECOND).map(Self::Time).map_err(|e| e.to_string())
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Sequence(sequence) => write!(f, "{sequence}"),
            Self::Time(time) => f.write_str(&show_time(*time)),
        }
    }
}

/// Journal time as RFC 3339.
pub fn show_time(time: Time) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * NANOSECONDS_PER_MICROSECOND);
    moment.ok().and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{time} µs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_latest_a_sequence_or_a_time() {
        assert_eq!("latest".parse(), Ok(Until::Latest));
        assert_eq!("42".parse(), Ok(Until::Sequence(42)));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Until::Time(1_000_000)));
        for wrong in ["", "0", "-1", "yesterday", "2026-01-31"] {
            assert!(wrong.parse::<Until>().is_err(), "{wrong}");
        }
        assert_eq!(Until::Time(1_000_000).to_string(), "1970-01-01T00:00:01Z");
        assert!(Until::Sequence(5).includes(5, 9) && !Until::Sequence(5).includes(6, 1) && !Until::Time(4).includes(1, 5));
    }
}
