//! This module checks the environment of a valid file: the folder of the store, and links that Telegram drops.

use std::{collections::BTreeSet, path::Path};

use alertbot_core::{alert::read_body, message::markup::has_plain_host};
use service_kit::yaml::FileFault;

use crate::{config::Config, routing::Routing};

/// Reports a path at which the database cannot be created.
pub fn store(config: &Config) -> Vec<FileFault> {
    let path = &config.store.path;
    let fault = |wrong: String, remedy: &str| vec![FileFault::new(config.store.line, "store.path", &wrong, remedy)];
    if path.is_dir() {
        return fault(format!("({}) is a folder", path.display()), "name a file in it, as alertbot.db");
    }
    match nearest(path) {
        Some(there) if !there.is_dir() => {
            fault(format!("({}) is below {}, which is not a folder", path.display(), there.display()), "correct the path")
        }
        _ => Vec::new(),
    }
}

/// Reports settings that may be intended.
pub fn warnings(config: &Config) -> Vec<String> {
    let folder = config.store.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let missing = folder.filter(|folder| !folder.exists());
    let missing = missing.map(|folder| {
        format!("store.path: the folder {} does not exist; `serve` creates it and needs the permission", folder.display())
    });
    missing.into_iter().collect()
}

/// Links of a payload that Telegram drops: their host has no dot.
pub fn dropped_links(routing: &Routing, body: &[u8]) -> Vec<String> {
    let Ok(payload) = read_body(body) else { return Vec::new() };
    let annotations = payload.alerts.iter().flat_map(|alert| alert.annotations.iter().map(|(_, value)| value));
    let addresses = payload.alerts.iter().map(|alert| alert.generator_url.as_str()).chain(annotations);
    let addresses = addresses.chain([payload.external_url.as_str()]).chain(routing.config.public_url.as_deref());
    let hosts: BTreeSet<&str> = addresses.filter(|address| has_plain_host(address)).map(origin).collect();
    let warning = |origin: &str| {
        format!(
            "links to {origin} are shown as text: Telegram drops links to hosts without a dot; set --web.external-url of \
             Prometheus and Alertmanager to an address with a domain"
        )
    };
    hosts.into_iter().map(warning).collect()
}

fn origin(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    let end = address[host..].find(['/', '?', '#']).map_or(address.len(), |at| host + at);
    &address[..end]
}

/// The nearest part of a path that exists, without the path.
fn nearest(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|part| !part.as_os_str().is_empty() && part.exists())
}
