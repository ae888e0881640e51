//! This module lists what users and other programs depend on by name: metrics, settings, flags, paths of URLs and log fields.
//!
//! It reads them from source text, so that a list needs no running program. A name that code assembles at run time is not seen.

use std::{collections::BTreeSet, fmt, fs, path::Path};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Field, File, Macro, visit::Visit};

use crate::source::is_test;

/// Prefixes of metric names; in upper case those of settings.
const PROGRAMS: [&str; 4] = ["alertbot", "backup", "exchange", "logship"];
/// Macros whose `name = value` pairs become fields of a log line.
const LOG_MACROS: [&str; 7] = ["trace", "debug", "info", "warn", "error", "event", "info_span"];

/// A name that others depend on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    Flag(String),
    LogField(String),
    Metric(String),
    Path(String),
    Setting(String),
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag --{name}"),
            Self::LogField(name) => write!(f, "log-field {name}"),
            Self::Metric(name) => write!(f, "metric {name}"),
            Self::Path(name) => write!(f, "path {name}"),
            Self::Setting(name) => write!(f, "setting {name}"),
        }
    }
}

/// Every interface that the sources below `folder/src` name, tests left out.
///
/// # Errors
/// Returns an error if a source file cannot be read or is not Rust.
pub fn interfaces(folder: &Path) -> Result<BTreeSet<Interface>> {
    let mut found = Found::default();
    read_folder(&folder.join("src"), &mut found)?;
    Ok(found.0)
}

fn read_folder(folder: &Path, found: &mut Found) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") && path.file_stem().is_none_or(|stem| stem != "tests") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let parsed: File = syn::parse_file(&text).with_context(|| format!("{} is not Rust", path.display()))?;
            found.visit_file(&parsed);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Found(BTreeSet<Interface>);

impl Visit<'_> for Found {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_lit_str(&mut self, literal: &syn::LitStr) {
        self.text(&literal.value());
    }

    fn visit_field(&mut self, field: &Field) {
        if let (Some(name), Some(flag)) = (&field.ident, field.attrs.iter().find_map(long_flag)) {
            self.0.insert(Interface::Flag(flag.unwrap_or_else(|| name.to_string().replace('_', "-"))));
        }
        syn::visit::visit_field(self, field);
    }

    fn visit_macro(&mut self, call: &Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if LOG_MACROS.contains(&name.as_str()) {
            self.log_fields(call.tokens.clone());
        }
        self.tokens(call.tokens.clone());
    }
}

/// `Some(None)` for `#[arg(long)]`, `Some(Some(name))` for `#[arg(long = "name")]`.
fn long_flag(attribute: &Attribute) -> Option<Option<String>> {
    if !attribute.path().is_ident("arg") {
        return None;
    }
    let mut tokens = attribute.meta.require_list().ok()?.tokens.clone().into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(ident) if ident == "long"))?;
    let is_named = matches!(tokens.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '=');
    let name = tokens.next().filter(|_| is_named).map(|token| token.to_string().trim_matches('"').to_owned());
    Some(name)
}

impl Found {
    fn text(&mut self, text: &str) {
        let words = |separator: char, of: fn(char) -> bool| {
            text.split(separator).count() > 1 && text.split(separator).all(|word| !word.is_empty() && word.chars().all(of))
        };
        let program = text.split('_').next().unwrap_or_default();
        if PROGRAMS.contains(&program) && words('_', |letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()) {
            self.0.insert(Interface::Metric(text.to_owned()));
        }
        if PROGRAMS.contains(&program.to_lowercase().as_str())
            && words('_', |letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
        {
            self.0.insert(Interface::Setting(text.to_owned()));
        }
        let of_path = |letter: char| letter.is_ascii_alphanumeric() || "/{}_-.*".contains(letter);
        if text.len() > 2 && text.starts_with('/') && text.chars().all(of_path) {
            self.0.insert(Interface::Path(text.to_owned()));
        }
    }

    /// Literals inside a macro call, which `syn` does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                        self.text(&text.value());
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
        }
    }

    /// `name = value`, `a.b = value`, `%name` and `name` before the message.
    fn log_fields(&mut self, tokens: TokenStream) {
        let mut parts: Vec<Vec<TokenTree>> = vec![Vec::new()];
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(Vec::new()),
                _ => parts.last_mut().expect("one at least").push(token),
            }
        }
        for part in parts {
            let end = part.iter().position(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '='));
            let name = &part[..end.unwrap_or(part.len())];
            let text: String = name.iter().map(ToString::to_string).collect();
            let text = text.trim_start_matches(['%', '?']).to_owned();
            let of_field = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._".contains(letter);
            if !text.is_empty() && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.chars().all(of_field) {
                let shorthand = end.is_none() && text.contains('.');
                let name = if shorthand { text.rsplit('.').next().unwrap_or_default().to_owned() } else { text };
                self.0.insert(Interface::LogField(name));
            } else if let [TokenTree::Literal(literal)] = name
                && let (Some(_), Ok(text)) = (end, syn::parse_str::<syn::LitStr>(&literal.to_string()))
            {
                self.0.insert(Interface::LogField(text.value()));
            }
        }
    }
}
