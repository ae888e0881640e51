//! This module reads YAML files into a tree in which every node has its line, and states faults with file, line and key.
//!
//! A program reads its keys from the tree and collects every fault, so that one run reports all of them. Only a syntax fault ends the
//! reading, because the rest of the file has no meaning. A program that sends the content on as JSON reads a [`YamlDocument`].

mod document;
mod fault;
mod node;

pub use document::YamlDocument;
pub use fault::FileFault;
pub use node::{Content, Node, YamlEntry, parse_yaml};
