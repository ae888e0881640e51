//! This module reads credentials and certificates from mounted files and compares them. It must not log them.

use std::{fs, path::Path};

use elasticsearch::auth::Credentials;
use service_kit::config::Secret;

use super::CallError;
use crate::config::CredentialFiles;

/// The contents of the files when they were read.
#[derive(Debug, Clone)]
pub struct Mounted {
    proof: Proof,
    ca: Option<Vec<u8>>,
}

#[derive(Debug, Clone)]
enum Proof {
    None,
    /// Encoded as Elasticsearch's `ApiKey` scheme requires.
    ApiKey {
        file: Secret,
    },
    Basic {
        username: String,
        password: Secret,
    },
}

impl PartialEq for Mounted {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.proof, &other.proof) {
            (Proof::None, Proof::None) => true,
            (Proof::ApiKey { file }, Proof::ApiKey { file: other }) => file.matches(other.expose().as_bytes()),
            (Proof::Basic { username, password }, Proof::Basic { username: other, password: secret }) => {
                username == other && password.matches(secret.expose().as_bytes())
            }
            _ => false,
        };
        same && self.ca == other.ca
    }
}

impl Mounted {
    /// # Errors
    /// Returns an error if a file cannot be read or is empty.
    pub fn read(credentials: &CredentialFiles, ca_file: Option<&Path>) -> Result<Self, CallError> {
        let proof = match credentials {
            CredentialFiles::None => Proof::None,
            CredentialFiles::ApiKey(file) => Proof::ApiKey { file: secret(file)? },
            CredentialFiles::Basic { username, password } => {
                Proof::Basic { username: username.clone(), password: secret(password)? }
            }
        };
        let ca = ca_file.map(|path| fs::read(path).map_err(|error| unreadable(path, &error))).transpose()?;
        Ok(Self { proof, ca })
    }

    /// The credentials for the `elasticsearch` crate.
    pub fn credentials(&self) -> Option<Credentials> {
        match &self.proof {
            Proof::None => None,
            Proof::ApiKey { file } => Some(match file.expose().split_once(':') {
                Some((id, key)) => Credentials::ApiKey(id.to_owned(), key.to_owned()),
                None => Credentials::EncodedApiKey(file.expose().to_owned()),
            }),
            Proof::Basic { username, password } => Some(Credentials::Basic(username.clone(), password.expose().to_owned())),
        }
    }

    /// PEM certificates of the authority.
    pub fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }
}

fn secret(path: &Path) -> Result<Secret, CallError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let text = text.trim_end_matches(['\r', '\n']);
    let printable = |character: char| !character.is_control();
    if text.is_empty() || !text.chars().all(printable) {
        return Err(CallError::mounted(Some(path), "is empty; write one line of text with the credential into it".to_owned()));
    }
    Ok(Secret::from(text.to_owned()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CallError {
    CallError::mounted(Some(path), format!("cannot be read ({error}); correct the path, the mount or its permissions"))
}
