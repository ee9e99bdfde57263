//! The table of layouts in `core/abi/src/layout.rs`.

use anyhow::{Context, Result};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitFloat, LitInt, Macro, Token, braced};

/// One line of the table.
pub struct Layout {
    /// The minor that promised it, e.g. `1.0`.
    pub abi: String,
    /// Name of the struct.
    pub name: String,
    /// `==`, or `>=` where a later minor let it grow.
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
/// It does not have the form that the macro itself takes.
pub fn read(call: &Macro) -> Result<Vec<Layout>> {
    let Lines(lines) = call.parse_body().context("the table of layouts has another form than is known here")?;
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
    let (abi, name) = (input.parse::<LitFloat>()?.to_string(), input.parse::<Ident>()?.to_string());
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
