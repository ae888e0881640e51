//! This module names the files of the served pages by their content, and publishes them to object storage. It must not serve them.
//!
//! - A page refers to its files as `/assets/<hash>/<name>`, where the hash is part of the SHA-256 of the content. So a name never means
//!   two contents, and caches may retain a file forever.
//! - The binary contains the files of its own release. Those of other releases are read from object storage, so that a page of one
//!   server works with files from another during a rolling deploy.
//! - Published files are not deleted: an open page of an earlier release may still need them.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::{Config, Url};

use crate::media::{Media, MediaError, Replace};

/// Path of the reference document, which the pages read.
pub const DOCUMENT: &str = "/openapi.json";
/// Prefix of a file's path and of its object.
pub const PREFIX: &str = "assets/";
/// Hexadecimal digits of a content hash: 128 bits.
const HASH_LENGTH: usize = 32;
const NAME_MAX: usize = 64;
/// Files of the reference page.
const REFERENCE: [&str; 7] = [
    "swagger-ui.css",
    "index.css",
    "favicon-32x32.png",
    "favicon-16x16.png",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
];

/// One file.
#[derive(Debug, Clone)]
pub struct PageAsset {
    pub name: String,
    /// Its object, and, after a slash, its path.
    pub key: String,
    pub content_type: String,
    pub bytes: Bytes,
}

/// The files of this release.
pub fn own() -> anyhow::Result<Vec<PageAsset>> {
    REFERENCE.iter().map(|name| file(name)).collect()
}

const VIEWPORT: &str = "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";

/// The reference page: refers to each file of `assets` by its content.
pub fn reference_page(assets: &[PageAsset]) -> anyhow::Result<Bytes> {
    let page = file("index.html")?;
    // Without a declared width a phone shows the page at a third of its size.
    let mut text = String::from_utf8(page.bytes.to_vec())?.replacen("<head>", &format!("<head>{VIEWPORT}"), 1);
    for asset in assets {
        let path = format!("\"/{}\"", asset.key);
        text = text.replace(&format!("\"./{}\"", asset.name), &path).replace(&format!("\"{}\"", asset.name), &path);
    }
    Ok(text.into())
}

/// A file of the reference page by its name.
pub fn file(name: &str) -> anyhow::Result<PageAsset> {
    let config = Config::new([Url::from(DOCUMENT)])
        .use_base_layout()
        .try_it_out_enabled(false)
        .display_request_duration(true)
        .default_models_expand_depth(0)
        // The default sends the document's address to an external validator.
        .validator_url("none");
    let found = utoipa_swagger_ui::serve(name, Arc::new(config)).map_err(|error| anyhow!("{name}: {error}"))?;
    let found = found.with_context(|| format!("{name}: the reference page has no such file"))?;
    let bytes = Bytes::from(found.bytes.into_owned());
    let key = format!("{PREFIX}{}/{name}", hash(&bytes));
    Ok(PageAsset { name: name.to_owned(), key, content_type: found.content_type, bytes })
}

/// Whether `hash` and `name` could be those of a published file.
pub fn is_plausible(hash: &str, name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    hash.len() == HASH_LENGTH
        && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(plain)
}

/// A file that another release published. `None`: it does not exist.
pub async fn published(media: &Media, hash_stated: &str, name: &str) -> Result<Option<Bytes>, MediaError> {
    match media.get(&format!("{PREFIX}{hash_stated}/{name}")).await {
        // Whatever else the bucket contains is not a file of a page.
        Ok(bytes) => Ok((hash(&bytes) == hash_stated).then_some(bytes)),
        Err(MediaError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Stores the files of this release. Safe to repeat. Returns the names, and whether each was new.
pub async fn publish_assets(media: &Media) -> anyhow::Result<Vec<(String, bool)>> {
    let mut done = Vec::new();
    for asset in own()? {
        let key = asset.key.clone();
        let new = match media.put(&key, asset.bytes.clone(), &asset.content_type, Replace::No).await {
            Ok(()) => true,
            Err(MediaError::Exists { .. }) => {
                // An interrupted or foreign write: the name states the content.
                if media.get(&key).await? != asset.bytes {
                    media.put(&key, asset.bytes, &asset.content_type, Replace::Yes).await?;
                }
                false
            }
            Err(error) => return Err(error).with_context(|| key),
        };
        done.push((key, new));
    }
    Ok(done)
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))[..HASH_LENGTH].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_refers_to_every_file_by_its_content() {
        let assets = own().unwrap();
        let page = String::from_utf8(reference_page(&assets).unwrap().to_vec()).unwrap();
        for asset in &assets {
            assert!(page.contains(&format!("\"/{}\"", asset.key)), "{}: {page}", asset.name);
            let key = asset.key.clone();
            let (hash, name) = key.strip_prefix(PREFIX).unwrap().split_once('/').unwrap();
            assert!(is_plausible(hash, name));
        }
        assert!(!page.contains("\"./"), "a file without a content hash: {page}");
        let start = String::from_utf8(file("swagger-initializer.js").unwrap().bytes.to_vec()).unwrap();
        assert!(start.contains(DOCUMENT) && start.contains("\"validatorUrl\": \"none\""), "{start}");
    }

    #[test]
    fn only_names_of_published_files_reach_the_store() {
        let hash = "0123456789abcdef0123456789abcdef";
        assert!(is_plausible(hash, "swagger-ui.css"));
        for (hash, name) in [(hash, ""), (hash, "a/b"), (&hash[1..], "a.css"), ("0123456789ABCDEF0123456789abcdef", "a")] {
            assert!(!is_plausible(hash, name), "{hash} {name}");
        }
    }
}
