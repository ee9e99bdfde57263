//! Rust types as C declarations.

use anyhow::{Context, Result, bail, ensure};
use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeBareFn};

/// Prefix of our types in C.
const PREFIX: &str = "Anyflow";

/// Our name for a type in C.
pub fn name(rust: &str) -> String {
    format!("{PREFIX}{rust}")
}

/// Declares `what` (a field, an argument or a new type) with a Rust type.
///
/// # Errors
///
/// The type has no form in C.
pub fn declare(kind: &Type, what: &str) -> Result<String> {
    declare_as(kind, what.to_string(), false)
}

/// `is_const` makes the pointee read-only, as behind a `*const`.
fn declare_as(kind: &Type, what: String, is_const: bool) -> Result<String> {
    if let Some(function) = function(kind) {
        return declare_function(function, &what);
    }
    match kind {
        Type::Ptr(pointer) => {
            let star = if is_const { "*const " } else { "*" };
            declare_as(&pointer.elem, format!("{star}{what}"), pointer.const_token.is_some())
        }
        Type::Path(path) => {
            let last = path.path.segments.last().context("a type without a name")?;
            ensure!(last.arguments.is_none(), "the type {} has no form in C", last.ident);
            let qualifier = if is_const { "const " } else { "" };
            let base = base(&last.ident.to_string());
            Ok(format!("{qualifier}{base} {what}"))
        }
        _ => bail!("{what} is of a type that has no form in C"),
    }
}

/// The function type of a type: itself, or that in an `Option`, since null stands for `None`.
pub fn function(kind: &Type) -> Option<&TypeBareFn> {
    match kind {
        Type::BareFn(function) => Some(function),
        Type::Path(path) => {
            let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            match arguments.args.first()? {
                GenericArgument::Type(Type::BareFn(function)) => Some(function),
                _ => None,
            }
        }
        _ => None,
    }
}

fn declare_function(function: &TypeBareFn, what: &str) -> Result<String> {
    let argument = |argument: &syn::BareFnArg| {
        let name = argument.name.as_ref().map(|(name, _)| name.to_string());
        declare(&argument.ty, &name.with_context(|| format!("an argument of {what} has no name"))?)
    };
    let arguments = function.inputs.iter().map(argument).collect::<Result<Vec<_>>>()?;
    let arguments = if arguments.is_empty() { "void".into() } else { arguments.join(", ") };
    let what = format!("(*{what})({arguments})");
    match &function.output {
        ReturnType::Default => Ok(format!("void {what}")),
        ReturnType::Type(_, kind) => declare(kind, &what),
    }
}

fn base(rust: &str) -> String {
    let c = match rust {
        "u8" => "uint8_t",
        "u16" => "uint16_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "i32" => "int32_t",
        "i64" => "int64_t",
        "usize" => "size_t",
        "f32" => "float",
        "f64" => "double",
        "c_void" => "void",
        ours => return name(ours),
    };
    c.into()
}

/// Names of our own types that a type uses.
pub fn mentioned(kind: &Type, names: &mut Vec<String>) {
    if let Some(function) = function(kind) {
        function.inputs.iter().for_each(|argument| mentioned(&argument.ty, names));
        return;
    }
    match kind {
        Type::Ptr(pointer) => mentioned(&pointer.elem, names),
        Type::Path(path) => names.extend(path.path.segments.last().map(|last| last.ident.to_string())),
        _ => {}
    }
}
