//! The log level, changeable while the program runs.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, filter::ParseError, reload};

/// Changes which lines are written. Clones share one level.
#[derive(Clone)]
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
}

/// Why a text is no log level.
#[derive(Debug, thiserror::Error)]
pub enum LevelFault {
    #[error("{0:?} is no level: choose off, error, warn, info, debug or trace, or name a module as module=debug")]
    NoLevel(String),
    #[error("{0:?} cannot be read: {1}")]
    Malformed(String, ParseError),
    #[error("the program's logging has ended")]
    Ended,
}

impl LogLevel {
    /// An unreadable `text` falls back to `info`: settings are checked where they are read.
    pub(crate) fn new(text: &str) -> (reload::Layer<EnvFilter, Registry>, Self) {
        let (text, filter) = match parse(text) {
            Ok(filter) => (text, filter),
            Err(_) => ("info", EnvFilter::new("info")),
        };
        let (layer, handle) = reload::Layer::new(filter);
        (layer, Self { handle, text: Arc::new(Mutex::new(text.to_owned())) })
    }

    /// The level as it was last set.
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the level, for instance `debug` or `info,exchange::engine=trace`. A faulty text changes nothing.
    pub fn set(&self, text: &str) -> Result<(), LevelFault> {
        let text = text.trim();
        let filter = parse(text)?;
        let mut standing = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.reload(filter).map_err(|_| LevelFault::Ended)?;
        text.clone_into(&mut standing);
        Ok(())
    }
}

/// Stricter than the library's own reading, which takes a misspelt level for the name of a module and logs nothing.
pub(super) fn parse(text: &str) -> Result<EnvFilter, LevelFault> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if let Some(part) = parts.iter().find(|part| part.is_empty() || !part.contains('=') && part.parse::<LevelFilter>().is_err()) {
        return Err(LevelFault::NoLevel((*part).to_owned()));
    }
    EnvFilter::builder().parse(parts.join(",")).map_err(|error| LevelFault::Malformed(text.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_misspelt_level_is_a_fault() {
        for right in ["info", "off", "warn,exchange=debug", "info, exchange::engine=trace"] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "inof", "exchange", "exchange=loud", "info,,warn"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
