//! This module reads the parameters of a call from a query, JSON, a form or multipart. Telegram accepts numbers, booleans and objects
//! as text too.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Form,
    body::{Body, to_bytes},
    extract::{FromRequest, Multipart, Query},
    http::{Request, header::CONTENT_TYPE},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::reply::MethodError;

/// Longest body including files; the Bot API accepts 50 MB.
const BODY_BYTES: usize = 50 << 20;

/// A file that was uploaded.
#[derive(Debug, Clone)]
pub struct UploadedFile {
    pub name: String,
    pub content: Bytes,
}

#[derive(Debug, Clone, Default)]
pub struct CallParameters {
    values: BTreeMap<String, Value>,
    files: BTreeMap<String, UploadedFile>,
}

impl CallParameters {
    /// # Errors
    /// Returns an error if the body is not a JSON object, form or multipart, or is too large.
    pub async fn read(request: Request<Body>) -> Result<Self, MethodError> {
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let unreadable = |error: &dyn std::fmt::Display| MethodError::bad_request(format!("can't parse the request: {error}"));
        let mut read = Self::default();
        let Query(query) = Query::<BTreeMap<String, String>>::try_from_uri(request.uri()).map_err(|error| unreadable(&error))?;
        read.values.extend(query.into_iter().map(|(name, value)| (name, Value::String(value))));
        if kind.starts_with("multipart/form-data") {
            read.multipart(request).await?;
            return Ok(read);
        }
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_BYTES).await.map_err(|_| MethodError::too_large())?;
        if body.is_empty() {
            return Ok(read);
        }
        if kind.starts_with("application/json") {
            let object: serde_json::Map<String, Value> = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
            read.values.extend(object);
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            let request = Request::from_parts(head, Body::from(body));
            let Form(form) =
                Form::<BTreeMap<String, String>>::from_request(request, &()).await.map_err(|error| unreadable(&error))?;
            read.values.extend(form.into_iter().map(|(name, value)| (name, Value::String(value))));
        } else {
            return Err(unreadable(&format!("content type {kind:?}")));
        }
        Ok(read)
    }

    async fn multipart(&mut self, request: Request<Body>) -> Result<(), MethodError> {
        let unreadable =
            |error: &dyn std::fmt::Display| MethodError::bad_request(format!("can't parse the multipart body: {error}"));
        let mut parts = Multipart::from_request(request, &()).await.map_err(|error| unreadable(&error))?;
        let mut size = 0;
        while let Some(part) = parts.next_field().await.map_err(|error| unreadable(&error))? {
            let name = part.name().unwrap_or_default().to_owned();
            let file_name = part.file_name().map(str::to_owned);
            let content = part.bytes().await.map_err(|error| unreadable(&error))?;
            size += content.len();
            if size > BODY_BYTES {
                return Err(MethodError::too_large());
            }
            match file_name {
                Some(file_name) => drop(self.files.insert(name, UploadedFile { name: file_name, content })),
                None => {
                    let text = String::from_utf8(content.into()).map_err(|error| unreadable(&error))?;
                    self.values.insert(name, Value::String(text));
                }
            }
        }
        Ok(())
    }

    /// The parameters for the transcript, files by name.
    pub fn told(&self) -> Value {
        let mut told: serde_json::Map<String, Value> = self.values.clone().into_iter().collect();
        let files =
            self.files.iter().map(|(name, file)| (name.clone(), format!("{} ({} bytes)", file.name, file.content.len()).into()));
        told.extend(files);
        told.into()
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.values.keys().map(String::as_str).collect()
    }

    pub fn text(&self, name: &str) -> Option<String> {
        match self.values.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    pub fn text_or_empty(&self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// Telegram ignores a value that is not a number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    pub fn boolean(&self, name: &str) -> bool {
        let text = self.text_or_empty(name).trim().to_ascii_lowercase();
        ["true", "yes", "1"].contains(&text.as_str())
    }

    /// An object or list, as JSON or as text.
    pub fn object<T: DeserializeOwned>(&self, name: &str, what: &str) -> Result<Option<T>, MethodError> {
        let wrong = |error: serde_json::Error| MethodError::bad_request(format!("can't parse {what} JSON object: {error}"));
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text).map(Some).map_err(wrong),
            Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(wrong),
        }
    }

    /// A file by its name, or by the name in `attach://…`.
    pub fn file(&self, name: &str) -> Option<&UploadedFile> {
        let attached = self.text(name).and_then(|text| text.strip_prefix("attach://").map(str::to_owned));
        self.files.get(attached.as_deref().unwrap_or(name))
    }

    pub fn attached(&self, reference: &str) -> Option<&UploadedFile> {
        self.files.get(reference.strip_prefix("attach://")?)
    }
}
