//! Reads the table of layouts in `core/abi/src/layout.rs`.

use anyhow::{Context, Result};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitFloat, LitInt, Macro, Token, braced};

/// One line of the table.
pub struct Layout {
    /// The ABI minor that promised it, e.g. `1.0`.
    pub abi: String,
    /// Name of the struct.
    pub name: String,
    /// `==`, or `>=` if a later minor grew the struct.
    pub relation: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// Its fields with their offsets.
    pub fields: Vec<(String, usize)>,
}

/// Reads a call of the macro `layouts`.
///
/// # Errors
///
/// The call does not have the form of the macro.
pub fn read(call: &Macro) -> Result<Vec<Layout>> {
    let Lines(lines) = call.parse_body().context("the table of layouts has an unknown form")?;
    Ok(lines)
}

struct Lines(Vec<Layout>);

impl Parse for Lines {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut lines = Vec::new();
        while !input.is_empty() {
            lines.push(line(input)?);
        }
        Ok(Lines(lines))
    }
}

fn line(input: ParseStream<'_>) -> syn::Result<Layout> {
    let abi = input.parse::<LitFloat>()?.to_string();
    let name = input.parse::<Ident>()?.to_string();
    let relation = if input.peek(Token![>=]) {
        input.parse::<Token![>=]>()?;
        ">="
    } else {
        input.parse::<Token![==]>()?;
        "=="
    };
    let size = input.parse::<LitInt>()?.base10_parse()?;
    let body;
    braced!(body in input);
    let fields = Punctuated::<Field, Token![,]>::parse_terminated(&body)?;
    Ok(Layout { abi, name, relation, size, fields: fields.into_iter().map(|Field(name, at)| (name, at)).collect() })
}

struct Field(String, usize);

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse::<Ident>()?.to_string();
        input.parse::<Token![:]>()?;
        Ok(Field(name, input.parse::<LitInt>()?.base10_parse()?))
    }
}
