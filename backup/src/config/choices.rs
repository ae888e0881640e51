//! This module defines settings with a fixed list of values.

/// Implements `FromStr` and `Display` for an enum whose values have these names. The second argument is the remedy.
macro_rules! choices {
    ($type:ty, $remedy:literal, $($text:literal => $value:expr),+) => {
        impl std::str::FromStr for $type {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok($value),)+
                    _ => Err($remedy),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $(if *self == $value { return formatter.write_str($text); })+
                Ok(())
            }
        }
    };
}

pub(super) use choices;
