//! This module lists the reasons for which an operator's request fails.

use crate::engine::SubmitError;
use exchange_core::refusal::Refusal;

pub(super) enum OperatorFailure {
    /// The request is invalid; the text names the field and the remedy.
    Refused(String),
    /// Temporary failure.
    Unavailable(String),
    Database(sqlx::Error),
}

impl From<sqlx::Error> for OperatorFailure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SubmitError> for OperatorFailure {
    fn from(error: SubmitError) -> Self {
        match error {
            // An account that does not exist was refused by its name before.
            SubmitError::Refused(Refusal::UnknownAccount) => Self::Refused(
                "account: the house accounts (0 custody, 1 fees) cannot be changed so; name a customer's account".to_owned(),
            ),
            SubmitError::Refused(refusal) => Self::Refused(refusal.to_string()),
            SubmitError::Unknown => {
                Self::Unavailable("the outcome is unknown: repeat the command, every action is safe to repeat".to_owned())
            }
            other => Self::Unavailable(format!("{other}: try again, and see the server's /readyz")),
        }
    }
}
