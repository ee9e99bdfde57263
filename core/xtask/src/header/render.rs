//! Renders the header.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use syn::{Expr, ExprLit, Field, Fields, ItemConst, ItemStruct, ItemType, Lit, Type};

use super::layout::Layout;
use super::read::{Declared, Form, Interface, docs_of};
use super::types;

/// Roles of functions. The documentation of each function begins with one.
const ROLES: [&str; 4] = ["`[main]` ", "`[worker]` ", "`[compute]` ", "`[any]` "];

/// The text before all declarations.
const BEGIN: &str = include_str!("begin.h");
/// The macros with which C plugins declare their descriptor and entry.
const END: &str = include_str!("end.h");

/// Renders the whole header.
///
/// # Errors
///
/// An item has no form in C, or a function has no role.
pub fn header(interface: &Interface) -> Result<String> {
    let names = c_names(interface);
    let mut text = comment(&interface.docs, "", &names);
    text += BEGIN;
    for declared in ordered(interface) {
        text += "\n";
        text += &comment(&declared.docs, "", &names);
        match &declared.form {
            Form::Group => {}
            Form::Constant(item) => text += &constant(item, declared)?,
            Form::Struct(item) => text += &structure(item, &names)?,
            Form::Alias(item) => text += &alias(item, &declared.docs)?,
        }
    }
    text += END;
    text += &assertions(&interface.layouts)?;
    text += "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
    Ok(text)
}

/// Sorts declarations so that each follows those that it uses, and each file follows those that it needs; otherwise
/// keeps the order of the sources.
fn ordered(interface: &Interface) -> Vec<&Declared> {
    let items = &interface.items;
    let types: BTreeMap<String, usize> =
        items.iter().enumerate().filter_map(|(at, item)| Some((type_name(item)?, at))).collect();
    let needs = |at: usize| {
        let mut mentioned = Vec::new();
        match &items[at].form {
            Form::Struct(item) => item.fields.iter().for_each(|field| types::mentioned(&field.ty, &mut mentioned)),
            Form::Alias(item) => types::mentioned(&item.ty, &mut mentioned),
            Form::Constant(item) => types::mentioned(&item.ty, &mut mentioned),
            Form::Group => {}
        }
        mentioned.iter().filter_map(|name| types.get(name).copied()).collect::<Vec<_>>()
    };
    let of_file = |file: usize| (0..items.len()).filter(move |at| items[*at].file == file);
    let files = in_order(items.iter().map(|item| item.file), &|file| {
        of_file(file).flat_map(&needs).map(|at| items[at].file).collect()
    });
    let inside = |file: usize| {
        let near = |at: usize| needs(at).into_iter().filter(|needed| items[*needed].file == file).collect();
        in_order(of_file(file), &near)
    };
    files.into_iter().flat_map(inside).map(|at| &items[at]).collect()
}

fn in_order(all: impl Iterator<Item = usize>, needs: &dyn Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    all.for_each(|one| place(one, needs, &mut done, &mut order));
    order
}

/// Appends `one` to the order, after what it needs.
fn place(one: usize, needs: &dyn Fn(usize) -> Vec<usize>, done: &mut BTreeSet<usize>, order: &mut Vec<usize>) {
    if done.insert(one) {
        needs(one).into_iter().for_each(|needed| place(needed, needs, done, order));
        order.push(one);
    }
}

fn type_name(declared: &Declared) -> Option<String> {
    match &declared.form {
        Form::Struct(item) => Some(item.ident.to_string()),
        Form::Alias(item) => Some(item.ident.to_string()),
        Form::Group | Form::Constant(_) => None,
    }
}

/// Rust names, as doc links write them, with their names in C.
fn c_names(interface: &Interface) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for declared in &interface.items {
        match (&declared.form, type_name(declared)) {
            (Form::Constant(item), _) => {
                let path = declared.module.as_ref().map_or(String::new(), |module| format!("{module}::"));
                names.insert(format!("{path}{}", item.ident), constant_name(item, declared));
            }
            (Form::Group, _) => {
                let module = declared.module.clone().unwrap_or_default();
                names.insert(module.clone(), format!("ANYFLOW_{}_*", module.to_uppercase()));
            }
            (_, Some(name)) => drop(names.insert(name.clone(), types::name(&name))),
            (_, None) => {}
        }
    }
    names
}

fn constant_name(item: &ItemConst, declared: &Declared) -> String {
    let module = declared.module.as_ref().map_or(String::new(), |module| format!("{}_", module.to_uppercase()));
    format!("ANYFLOW_{module}{}", item.ident)
}

fn constant(item: &ItemConst, declared: &Declared) -> Result<String> {
    let name = constant_name(item, declared);
    if let Expr::Struct(value) = &*item.expr {
        let fields = value.fields.iter().map(|field| number(&field.expr)).collect::<Result<Vec<_>>>()?;
        return Ok(format!("static const {} = {{{}}};\n", types::declare(&item.ty, &name)?, fields.join(", ")));
    }
    let suffix = match &*item.ty {
        Type::Path(path) if path.path.is_ident("u32") => "u",
        _ => "",
    };
    Ok(format!("#define {name} {}{suffix}\n", number(&item.expr).with_context(|| format!("the constant {name}"))?))
}

fn number(value: &Expr) -> Result<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(value), .. }) => Ok(value.base10_digits().into()),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(format!("{:?}", text.value())),
        // `u64::from_le_bytes(*b"...")`
        Expr::Call(call) => match call.args.first() {
            Some(Expr::Unary(syn::ExprUnary { expr, .. })) => match &**expr {
                Expr::Lit(ExprLit { lit: Lit::ByteStr(bytes), .. }) => {
                    let bytes: [u8; 8] = bytes.value().try_into().ok().context("eight bytes are a number")?;
                    Ok(format!("UINT64_C({:#018x})", u64::from_le_bytes(bytes)))
                }
                _ => bail!("has a value of unknown form"),
            },
            _ => bail!("has a value of unknown form"),
        },
        _ => bail!("has a value of unknown form"),
    }
}

fn structure(item: &ItemStruct, names: &BTreeMap<String, String>) -> Result<String> {
    let Fields::Named(fields) = &item.fields else { bail!("{} has fields without names", item.ident) };
    let mut text = format!("typedef struct {} {{\n", types::name(&item.ident.to_string()));
    for field in &fields.named {
        text += &member(field, names).with_context(|| format!("struct {}", item.ident))?;
    }
    writeln!(text, "}} {};", types::name(&item.ident.to_string()))?;
    Ok(text)
}

fn member(field: &Field, names: &BTreeMap<String, String>) -> Result<String> {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let docs = docs_of(&field.attrs);
    if types::function(&field.ty).is_some() {
        ensure_role(&name, &docs)?;
    }
    let declared = format!("    {};", types::declare(&field.ty, &name)?);
    Ok(format!("{}{}\n", comment(&docs, "    ", names), wrapped(&declared)))
}

/// Breaks a long declaration after commas.
fn wrapped(line: &str) -> String {
    const MOST_COLUMNS: usize = 120;
    let mut text = String::new();
    let mut column = 0;
    for part in line.split_inclusive(", ") {
        if column + part.trim_end().len() > MOST_COLUMNS {
            text.truncate(text.trim_end().len());
            text += "\n        ";
            column = 8;
        }
        text += part;
        column += part.len();
    }
    text
}

fn alias(item: &ItemType, docs: &[String]) -> Result<String> {
    let name = types::name(&item.ident.to_string());
    if types::function(&item.ty).is_some() {
        ensure_role(&name, docs)?;
    }
    Ok(format!("typedef {};\n", types::declare(&item.ty, &name)?))
}

fn ensure_role(name: &str, docs: &[String]) -> Result<()> {
    let first = docs.first().map_or("", String::as_str);
    ensure!(
        ROLES.iter().any(|role| first.starts_with(role)),
        "function {name} does not begin with its role: {first:?}"
    );
    Ok(())
}

/// A C comment of documentation lines, with links to Rust names replaced by C names.
fn comment(docs: &[String], indent: &str, names: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = docs.iter().map(|line| without_links(line, names)).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/* {line} */\n"),
        [first, rest @ ..] => {
            let mut text = format!("{indent}/* {first}\n");
            for line in rest {
                text += format!("{indent} * {line}").trim_end();
                text += "\n";
            }
            format!("{}{indent} */\n", text)
        }
    }
}

fn without_links(line: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, (link, after))) =
        rest.split_once("[`").and_then(|(before, after)| Some((before, after.split_once("`]")?)))
    {
        let (owner, member) = link.rsplit_once("::").unwrap_or((link, ""));
        let name = match (names.get(link), names.get(owner)) {
            (Some(whole), _) => whole.clone(),
            (None, Some(owner)) => format!("{owner}.{member}"),
            (None, None) => link.into(),
        };
        text += &format!("{before}{name}");
        rest = after;
    }
    text + rest
}

/// Static assertions of the promised layouts, for C and C++ with 64-bit addresses.
fn assertions(layouts: &[Layout]) -> Result<String> {
    let mut text = String::from("\n/* What each minor of the ABI promised of its structs. */\n");
    text += "#if UINTPTR_MAX == UINT64_MAX\n";
    for Layout { abi, name, relation, size, fields } in layouts {
        let name = types::name(name);
        writeln!(text, "static_assert(sizeof({name}) {relation} {size}, \"size of ABI {abi}\");")?;
        for (field, at) in fields {
            writeln!(text, "static_assert(offsetof({name}, {field}) == {at}, \"offset of ABI {abi}\");")?;
        }
    }
    Ok(text + "#endif\n")
}
