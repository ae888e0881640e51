//! `manifests placeholders` on a tree as assembled, as a person completes it, and with single faults.

use std::{fs, path::Path, process::Output};

use manifests::assemble;

use crate::source::{repository, run};

fn placeholders(folder: &Path) -> Output {
    run(&repository(), env!("CARGO_BIN_EXE_manifests"), &["placeholders", &folder.display().to_string()])
}

/// Replaces a text in every file of a folder.
fn replace(folder: &Path, from: &str, to: &str) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            replace(&path, from, to);
        } else if let Ok(text) = fs::read_to_string(&path)
            && text.contains(from)
        {
            fs::write(&path, text.replace(from, to)).expect("written");
        }
    }
}

#[test]
fn a_tree_is_refused_until_every_placeholder_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    assemble::tree(&repository(), &tree).expect("assembled");
    let output = placeholders(&tree);
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(65), "{listed}");
    for part in [
        "infrastructure/haproxy/kustomization.yaml:16: the digest of registry.example.com/mirror/haproxy is the placeholder of zeros; run",
        "infrastructure/postgresql/values.yaml:13: the digest of mirror/bitnami-postgresql is",
        "infrastructure/eck/logs/kibana.yaml:9: the digest of registry.example.com/mirror/kibana is",
        "infrastructure/ingress/values.yaml:8:",
        "overlays/staging/logging: DaemonSet fluent-bit: spec.template.spec.containers.0.image: the digest of",
        "overlays/production/exchange: Ingress exchange: spec.rules.0.host: api.example.com is an example; write your own name",
        "argocd/environments/staging.yaml",
    ] {
        assert!(listed.contains(part), "{part} is not in {listed}");
    }
    // Alternatives that Argo CD does not install, and the digests that the first release writes.
    assert!(!listed.contains("cloudnative-pg") && !listed.contains("example.com/exchange/alertbot is the"), "{listed}");

    replace(&tree, "example.com", "exchange.internal");
    replace(&tree, "example.org", "exchange.internal");
    replace(&tree.join("infrastructure"), &"0".repeat(64), &"f".repeat(64));
    for environment in ["staging", "production"] {
        replace(&tree.join("overlays").join(environment).join("images"), &"0".repeat(64), &"f".repeat(64));
    }
    let output = placeholders(&tree);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));

    // After the first release, a program's digest of zeros is one more fault.
    fs::write(tree.join("overlays/staging/release/commit"), "1".repeat(40)).expect("written");
    let output = placeholders(&tree);
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(65) && listed.contains("exchange/exchange is the placeholder"), "{listed}");

    fs::remove_dir_all(tree.join("infrastructure/haproxy")).expect("removed");
    let listed = String::from_utf8_lossy(&placeholders(&tree).stdout).into_owned();
    assert!(listed.contains("infrastructure/haproxy: does not exist; restore it"), "{listed}");
}

#[test]
fn another_folder_is_no_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = placeholders(folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("is not a tree of the manifests repository"), "{said}");
}
