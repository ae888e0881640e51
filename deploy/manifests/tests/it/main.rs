//! Integration tests of the manifests: the real tree, each rule with an object that breaks it, and releases into a bare repository.

mod deploy_digests;
mod help;
mod placeholders;
mod rules;
mod source;
