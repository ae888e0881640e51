//! This module holds the log level and changes it at run time.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, filter::ParseError, reload};

use crate::config::Secret;

/// Reads and sets the log level. Clones share one level.
#[derive(Clone)]
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
    token: Option<Secret>,
}

/// The reason why a log level was refused.
#[derive(Debug, thiserror::Error)]
pub enum LevelFault {
    #[error("{0:?} is not a log level: choose off, error, warn, info, debug or trace, or name a module as module=debug")]
    NoLevel(String),
    #[error("{0:?} cannot be read: {1}")]
    Malformed(String, ParseError),
    #[error("the program has stopped logging")]
    Ended,
}

impl LogLevel {
    /// Uses `info` if `text` is unreadable: the program has already validated its settings.
    pub(crate) fn new(text: &str, token: Option<Secret>) -> (reload::Layer<EnvFilter, Registry>, Self) {
        let (text, filter) = match parse_level(text) {
            Ok(filter) => (text, filter),
            Err(_) => ("info", EnvFilter::new("info")),
        };
        let (layer, handle) = reload::Layer::new(filter);
        (layer, Self { handle, text: Arc::new(Mutex::new(text.to_owned())), token })
    }

    /// Whether a caller that presents `token` may change the level. Everyone may if `LOG_LEVEL_TOKEN` is unset.
    pub fn permits(&self, token: Option<&[u8]>) -> bool {
        self.token.as_ref().is_none_or(|own| token.is_some_and(|token| own.matches(token)))
    }

    /// The current level.
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the level, for instance `debug` or `info,program::module=trace`. A faulty text changes nothing.
    pub fn set(&self, text: &str) -> Result<(), LevelFault> {
        let text = text.trim();
        let filter = parse_level(text)?;
        let mut current = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(filter).map_err(|_| LevelFault::Ended)?;
        text.clone_into(&mut current);
        Ok(())
    }
}

/// Stricter than the library, which reads a misspelt level as the name of a module and then logs nothing.
pub(super) fn parse_level(text: &str) -> Result<EnvFilter, LevelFault> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Some(part) = parts.iter().find(|part| part.is_empty() || !part.contains('=') && part.parse::<LevelFilter>().is_err()) {
        return Err(LevelFault::NoLevel((*part).to_owned()));
    }
    EnvFilter::builder().parse(parts.join(",")).map_err(|error| LevelFault::Malformed(text.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::parse_level;

    #[test]
    fn a_misspelt_level_is_a_fault() {
        for right in ["info", "off", "warn,shop=debug", "info, shop::till=trace"] {
            assert!(parse_level(right).is_ok(), "{right}");
        }
        for wrong in ["", "inof", "shop", "shop=loud", "info,,warn"] {
            assert!(parse_level(wrong).is_err(), "{wrong}");
        }
    }
}
