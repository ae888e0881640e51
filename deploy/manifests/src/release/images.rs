//! This module reads the list of digests that the image jobs write: one line per program, `<program> <registry>/<name>@sha256:<digits>`.

use std::{collections::BTreeMap, path::Path};

use super::ReleaseError;

/// Image by program: name without digest, and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images(pub BTreeMap<String, (String, String)>);

impl Images {
    /// Reads the list from a file.
    ///
    /// # Errors
    /// Returns [`ReleaseError::Input`] if the file cannot be read or is invalid.
    pub fn read(path: &Path) -> Result<Self, ReleaseError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ReleaseError::Input(format!(
                "the digests file {} cannot be read: {error}; pass the artifact of the image jobs",
                path.display()
            ))
        })?;
        Self::parse(&text)
    }

    /// # Errors
    /// Returns [`ReleaseError::Input`] with the line that is wrong and what to write.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut images = BTreeMap::new();
        for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (program, image) =
                parse_line(line).map_err(|text| ReleaseError::Input(format!("digests line {}: {text}", place + 1)))?;
            if images.insert(program.to_owned(), image).is_some() {
                return Err(ReleaseError::Input(format!("digests line {}: {program} is named twice; name it once", place + 1)));
            }
        }
        let missing: Vec<&str> = crate::PROGRAMS.into_iter().filter(|program| !images.contains_key(*program)).collect();
        if !missing.is_empty() {
            let text = format!("the digests file lacks {}; a release has the images of all programs", missing.join(", "));
            return Err(ReleaseError::Input(text));
        }
        Ok(Self(images))
    }
}

fn parse_line(line: &str) -> Result<(&str, (String, String)), String> {
    let mut words = line.split_whitespace();
    let (Some(program), Some(image), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("{line:?} is not `<program> <registry>/<name>@sha256:<digits>`"));
    };
    if !crate::PROGRAMS.contains(&program) {
        return Err(format!("unknown program {program:?}; name one of {}", crate::PROGRAMS.join(", ")));
    }
    let Some((name, digest)) = image.split_once('@') else {
        return Err(format!("{image:?} is a tag; write the digest that the registry returned, as name@sha256:…"));
    };
    let Some(digits) = digest.strip_prefix("sha256:") else {
        return Err(format!("the digest {digest:?} is not of the kind sha256:…"));
    };
    if digits.len() != 64 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("the digest {digest:?} has not 64 hexadecimal digits; copy it whole"));
    }
    if digits.bytes().all(|byte| byte == b'0') {
        return Err(format!("the digest of {program} is the placeholder of zeros; build the image first"));
    }
    let last = name.rsplit('/').next().unwrap_or_default();
    if name.starts_with('/') || !name.contains('/') || last != program {
        return Err(format!("the image {name:?} is not <registry>/…/{program}"));
    }
    Ok((program, (name.to_owned(), digest.to_owned())))
}
