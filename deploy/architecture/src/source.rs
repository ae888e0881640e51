//! This module reads a crate: its tree of modules, what each module defines and re-exports, and every path that a module names.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility, visit::Visit};

/// Segments below the crate's root: `["engine", "leader"]`.
pub type ModulePath = Vec<String>;

/// A path as a module names it.
#[derive(Debug, Clone)]
pub struct Named {
    /// Segments as written, `crate`, `self` and `super` included.
    pub segments: Vec<String>,
    pub line: usize,
}

/// A type or a free function with a visibility.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    pub name: String,
    pub is_type: bool,
}

/// One module, in a separate file or inline.
#[derive(Debug, Default)]
pub struct Module {
    pub file: PathBuf,
    /// Names that the module defines, modules included.
    pub defined: Vec<String>,
    /// Types and functions that other modules can name.
    pub public: Vec<Public>,
    /// Types that only this module can name.
    pub private_types: Vec<String>,
    /// What `use` brings into scope: name to path. A `pub use` also offers it to others.
    pub imported: BTreeMap<String, Vec<String>>,
    /// Paths of `use …::*`.
    pub globs: Vec<Vec<String>>,
    pub named: Vec<Named>,
}

/// A crate's modules by path. The root has the empty path; a program in the crate of a library is the module `main`.
#[derive(Debug)]
pub struct Crate {
    /// As other code writes it: `exchange_core`.
    pub name: String,
    pub modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    /// Reads the crate in `folder`, which holds `src/lib.rs`, `src/main.rs` or both.
    ///
    /// # Errors
    /// Returns an error if a source file is missing or is not Rust.
    pub fn read(name: &str, folder: &Path) -> Result<Self> {
        let mut modules = BTreeMap::new();
        let source = folder.join("src");
        let (library, program) = (source.join("lib.rs"), source.join("main.rs"));
        if library.exists() {
            read_file(&mut modules, Vec::new(), &library, &source)?;
            if program.exists() {
                read_file(&mut modules, vec!["main".to_owned()], &program, &source)?;
            }
        } else {
            read_file(&mut modules, Vec::new(), &program, &source)?;
        }
        Ok(Self { name: name.replace('-', "_"), modules })
    }
}

fn read_file(modules: &mut BTreeMap<ModulePath, Module>, path: ModulePath, file: &Path, children: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let parsed = syn::parse_file(&text).with_context(|| format!("{} is not Rust", file.display()))?;
    read_items(modules, path, file, children, &parsed.items)
}

fn read_items(
    modules: &mut BTreeMap<ModulePath, Module>,
    path: ModulePath,
    file: &Path,
    children: &Path,
    items: &[Item],
) -> Result<()> {
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    for item in items {
        if is_test(attributes(item)) {
            continue;
        }
        if let Some(name) = defined(item) {
            module.defined.push(name);
        }
        if let Some((visibility, named)) = named(item) {
            match visibility {
                Visibility::Inherited if named.is_type => module.private_types.push(named.name),
                Visibility::Inherited => {}
                _ => module.public.push(named),
            }
        }
        if let Item::Mod(child) = item {
            let name = child.ident.to_string();
            let below: ModulePath = path.iter().cloned().chain([name.clone()]).collect();
            if let Some((_, inner)) = &child.content {
                read_items(modules, below, file, &children.join(&name), inner)?;
            } else {
                let (flat, nested) = (children.join(format!("{name}.rs")), children.join(&name).join("mod.rs"));
                read_file(modules, below, if flat.exists() { &flat } else { &nested }, &children.join(&name))?;
            }
            continue;
        }
        Uses(&mut module).visit_item(item);
        let tokens = item.to_token_stream();
        paths(tokens, &mut module.named);
    }
    modules.insert(path, module);
    Ok(())
}

pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn named(item: &Item) -> Option<(&Visibility, Public)> {
    let (visibility, name, is_type) = match item {
        Item::Enum(item) => (&item.vis, &item.ident, true),
        Item::Fn(item) => (&item.vis, &item.sig.ident, false),
        Item::Struct(item) => (&item.vis, &item.ident, true),
        Item::Trait(item) => (&item.vis, &item.ident, true),
        Item::Type(item) => (&item.vis, &item.ident, true),
        Item::Union(item) => (&item.vis, &item.ident, true),
        _ => return None,
    };
    Some((visibility, Public { name: name.to_string(), is_type }))
}

fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Collects `use` declarations, those inside functions too.
struct Uses<'a>(&'a mut Module);

impl Visit<'_> for Uses<'_> {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let line = item.use_token.span.start().line;
        self.tree(&item.tree, &mut Vec::new(), line);
    }
}

impl Uses<'_> {
    fn tree(&mut self, tree: &UseTree, before: &mut Vec<String>, line: usize) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, line);
                before.pop();
            }
            UseTree::Name(name) => self.leaf(before, &name.ident.to_string(), &name.ident.to_string(), line),
            UseTree::Rename(rename) => self.leaf(before, &rename.ident.to_string(), &rename.rename.to_string(), line),
            UseTree::Glob(_) => {
                self.0.named.push(Named { segments: before.clone(), line });
                self.0.globs.push(before.clone());
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before, line)),
        }
    }

    fn leaf(&mut self, before: &[String], name: &str, scope: &str, line: usize) {
        let mut segments = before.to_vec();
        let mut scope = scope;
        if name == "self" {
            scope = if scope == "self" { before.last().map_or("self", String::as_str) } else { scope };
        } else {
            segments.push(name.to_owned());
        }
        self.0.named.push(Named { segments: segments.clone(), line });
        self.0.imported.insert(scope.to_owned(), segments);
    }
}

/// Collects every run of `name::name`, inside macro calls too. `use` trees with braces are [`Uses`]' part: here they end early.
fn paths(tokens: TokenStream, found: &mut Vec<Named>) {
    let mut segments: Vec<String> = Vec::new();
    let mut line = 0;
    let mut colons = 0;
    let flush = |segments: &mut Vec<String>, line: usize, found: &mut Vec<Named>| {
        if segments.len() > 1 {
            found.push(Named { segments: std::mem::take(segments), line });
        }
        segments.clear();
    };
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    flush(&mut segments, line, found);
                    line = ident.span().start().line;
                }
                colons = 0;
                segments.push(ident.to_string());
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                flush(&mut segments, line, found);
                colons = 0;
                if group.delimiter() != Delimiter::None || !group.stream().is_empty() {
                    paths(group.stream(), found);
                }
            }
            _ => {
                flush(&mut segments, line, found);
                colons = 0;
            }
        }
    }
    flush(&mut segments, line, found);
}
