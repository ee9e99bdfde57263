//! Reads the sources of the plugin border that have a form in C.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use syn::{Attribute, Fields, Item, ItemConst, ItemMod, ItemStruct, ItemType, Meta, Visibility};

use super::layout::{self, Layout};

/// Everything that goes into the header, in the order of the sources.
#[derive(Default)]
pub struct Interface {
    /// Documentation of the crate.
    pub docs: Vec<String>,
    /// What is declared.
    pub items: Vec<Declared>,
    /// The promised layouts.
    pub layouts: Vec<Layout>,
    /// Files read so far.
    files: usize,
}

/// A declaration.
pub struct Declared {
    /// Number of its source file; declarations of one file stay together.
    pub file: usize,
    /// Name of the innermost public module, if any. It is a prefix of the names of constants.
    pub module: Option<String>,
    /// Its documentation.
    pub docs: Vec<String>,
    /// The declared item.
    pub form: Form,
}

/// The kinds of declarations.
pub enum Form {
    /// A documented group of constants: the start of a module.
    Group,
    /// A number, a text, or a struct of numbers.
    Constant(ItemConst),
    /// A `repr(C)` struct.
    Struct(ItemStruct),
    /// A type alias.
    Alias(ItemType),
}

/// Reads a crate, starting at its `lib.rs`.
///
/// # Errors
///
/// A file is missing or is not valid Rust.
pub fn interface(sources: &Path) -> Result<Interface> {
    let mut interface = Interface::default();
    let items = file(&sources.join("lib.rs"), &mut interface.docs)?;
    collect(sources, None, items, &mut interface)?;
    Ok(interface)
}

fn file(path: &Path, docs: &mut Vec<String>) -> Result<Vec<Item>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = syn::parse_file(&text).with_context(|| format!("{} is not valid Rust", path.display()))?;
    docs.extend(docs_of(&file.attrs));
    Ok(file.items)
}

fn collect(sources: &Path, module: Option<&str>, items: Vec<Item>, interface: &mut Interface) -> Result<()> {
    let file = interface.files;
    let module_owned = module.map(String::from);
    let mut declare = |docs, form| {
        interface.items.push(Declared { file, module: module_owned.clone(), docs, form });
    };
    let mut modules = Vec::new();
    for item in items {
        match item {
            Item::Const(item) if is_public(&item.vis) => declare(docs_of(&item.attrs), Form::Constant(item)),
            Item::Struct(item) if is_public(&item.vis) && is_repr_c(&item) => {
                declare(docs_of(&item.attrs), Form::Struct(item));
            }
            Item::Type(item) if is_public(&item.vis) => declare(docs_of(&item.attrs), Form::Alias(item)),
            Item::Mod(item) => modules.push(item),
            Item::Macro(item) if item.mac.path.is_ident("layouts") => {
                interface.layouts.extend(layout::read(&item.mac)?);
            }
            _ => {}
        }
    }
    modules.into_iter().try_for_each(|item| enter(sources, module, item, interface))
}

fn enter(sources: &Path, outer: Option<&str>, module: ItemMod, interface: &mut Interface) -> Result<()> {
    let name = module.ident.to_string();
    let mut docs = docs_of(&module.attrs);
    let items = match module.content {
        Some((_, items)) => items,
        None => {
            interface.files += 1;
            file(&sources.join(format!("{name}.rs")), &mut docs)?
        }
    };
    let inner = if is_public(&module.vis) { Some(name) } else { outer.map(String::from) };
    let before = interface.items.len();
    collect(sources, inner.as_deref(), items, interface)?;
    // A module without C declarations has no heading.
    if interface.items.len() > before {
        interface.items.insert(before, Declared { file: interface.files, module: inner, docs, form: Form::Group });
    }
    Ok(())
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_repr_c(item: &ItemStruct) -> bool {
    let says_c = |attribute: &Attribute| attribute.parse_args::<syn::Ident>().is_ok_and(|layout| layout == "C");
    matches!(item.fields, Fields::Named(_))
        && item.attrs.iter().any(|attribute| attribute.path().is_ident("repr") && says_c(attribute))
}

/// The lines of a doc comment, without their leading space.
pub fn docs_of(attributes: &[Attribute]) -> Vec<String> {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    };
    let lines = attributes.iter().filter_map(line);
    lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_string()).collect()
}
