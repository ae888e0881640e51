//! This module writes the files of a release into a checkout of the manifests repository, and renders them.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Release, ReleaseError};

/// Kustomizations whose Job is named by the commit, with the folder of the base.
const JOBS: [(&str, &str); 2] = [("migrate", "migrate"), ("apply", "logging/apply")];

/// Writes the copy of the base and the files of the release.
pub fn write_files(release: &Release, source: &Path, checkout: &Path) -> Result<()> {
    let overlay = checkout.join("overlays").join(&release.environment);
    for folder in ["base", "release"] {
        let folder = overlay.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
    }
    crate::assemble::base(source, &overlay.join("base"))?;
    let folder = overlay.join("release");
    let mut images = String::from(
        "# Written by deploy/ci/deploy-digests: the images of one source commit. Do not edit; revert the commit to roll back.\n\
         apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages:\n",
    );
    for (program, (name, digest)) in &release.images.0 {
        writeln!(images, "  - name: {program}\n    newName: {name}\n    digest: {digest}")?;
    }
    file(&folder.join("images/kustomization.yaml"), &images)?;
    for (job, base) in JOBS {
        let text = format!(
            "# Written by deploy/ci/deploy-digests: the Job of one source commit. Do not edit.\n\
             apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - ../../base/{base}\nnameSuffix: \"-{}\"\n",
            &release.commit[..12]
        );
        file(&folder.join(job).join("kustomization.yaml"), &text)?;
    }
    file(&folder.join("commit"), &format!("{}\n", release.commit))
}

fn file(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Renders every Application of the environment.
///
/// # Errors
/// Returns [`ReleaseError::Broken`] with kustomize's message, or with the images whose digest is the placeholder of zeros: those of the
/// environment, and those of the backing services without which its programs do not start.
pub fn render(release: &Release, checkout: &Path) -> Result<(), ReleaseError> {
    let overlay = checkout.join("overlays").join(&release.environment);
    let mut placeholders = BTreeSet::new();
    let entries = fs::read_dir(&overlay).with_context(|| format!("reading {}", overlay.display()))?;
    for entry in entries {
        let folder = entry.map_err(anyhow::Error::from)?.path();
        let file = fs::read_to_string(folder.join("kustomization.yaml")).unwrap_or_default();
        if file.contains("kind: Kustomization") {
            let objects = crate::render::kustomize(&release.kubectl, &folder)
                .map_err(|error| ReleaseError::Broken(format!("pushed nothing: {error:#}")))?;
            objects.iter().for_each(|object| without_digest(&object.0, &mut placeholders));
        }
    }
    if let Some(first) = crate::placeholders::digests_of_parts(checkout)?.first() {
        return Err(ReleaseError::Broken(format!("pushed nothing: {first}; `manifests placeholders` lists all")));
    }
    if placeholders.is_empty() {
        return Ok(());
    }
    let names = placeholders.into_iter().collect::<Vec<_>>().join(", ");
    Err(ReleaseError::Broken(format!(
        "pushed nothing: {names}: the digest is the placeholder of zeros; run deploy/infrastructure/mirror and write its lines into \
         overlays/{}/images/kustomization.yaml",
        release.environment
    )))
}

/// Names of images whose digest consists of zeros, at any depth of an object.
fn without_digest(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let image = member.as_str().filter(|_| name == "image").and_then(|image| image.split_once("@sha256:"));
                match image {
                    Some((name, digits)) if digits.bytes().all(|digit| digit == b'0') => {
                        found.insert(name.to_owned());
                    }
                    _ => without_digest(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| without_digest(item, found)),
        _ => {}
    }
}
