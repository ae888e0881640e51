//! This module reads the body of a webhook.

use std::fmt;

use super::{
    grafana,
    payload::{Payload, VERSION},
};

/// Why a body is rejected. A retry with the same body is rejected too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    Malformed(String),
    WrongVersion(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => formatter.write_str(text),
            Self::WrongVersion(version) => write!(
                formatter,
                "version is {version:?}; this program reads version {VERSION:?} of Alertmanager and {:?} of Grafana",
                grafana::VERSION
            ),
        }
    }
}

impl std::error::Error for BodyError {}

/// Reads a webhook of Alertmanager or Grafana.
///
/// # Errors
/// Returns an error if the body is neither, or if it does not name its group.
pub fn read_body(body: &[u8]) -> Result<Payload, BodyError> {
    let mut payload: Payload = serde_json::from_slice(body)
        .map_err(|error| BodyError::Malformed(format!("the body is no webhook of Alertmanager: {error}")))?;
    if payload.version == grafana::VERSION {
        grafana::add(&mut payload, body);
        grafana::name_group(&mut payload);
    } else if payload.version != VERSION {
        return Err(BodyError::WrongVersion(payload.version));
    }
    if payload.group_key.is_empty() || payload.receiver.is_empty() {
        return Err(BodyError::Malformed("groupKey and receiver must not be empty: they name the incident".to_owned()));
    }
    Ok(payload)
}
