//! This package assembles, renders and judges the Kubernetes manifests, and writes releases into the manifests repository.
//!
//! - `assemble` builds the tree of the manifests repository: copies of `deploy/base`, and objects generated from `dashboards/`
//!   and `logship-config/`.
//! - `world` holds the rendered objects; `rules` is the table of rules about them.
//! - `placeholders` finds required settings that a tree still lacks.
//! - `release` writes the images of one source commit.
//!
//! It must not talk to a cluster or a registry, and must not hold a manifest.

pub mod assemble;
pub mod check;
pub mod guide;
pub mod object;
pub mod placeholders;
pub mod release;
pub mod render;
pub mod rules;
pub mod settings;
pub mod tools;
pub mod world;

/// The environments. Each is a cluster, and a folder of `deploy/overlays`.
pub const ENVIRONMENTS: [&str; 2] = ["staging", "production"];
/// The programs that have an image.
pub const PROGRAMS: [&str; 4] = ["alertbot", "backup", "exchange", "logship"];
