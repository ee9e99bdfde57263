//! `cargo xtask header`: generates `core/abi/include/anyflow.h` from the sources of `core/abi`.
//!
//! Every `repr(C)` struct, public constant and type alias of that crate becomes C, with its documentation. Names get
//! the prefix `Anyflow`; constants get `ANYFLOW_` and the name of their module, if it is public.

mod layout;
mod read;
mod render;
#[cfg(test)]
mod tests;
mod types;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

const SOURCES: &str = "core/abi/src";
const HEADER: &str = "core/abi/include/anyflow.h";

/// Writes the header; with `check`, only compares it.
///
/// # Errors
///
/// An item has no form in C, a function has no role, or the committed header is stale.
pub fn run(workspace: &Workspace, check: bool) -> Result<()> {
    let path = workspace.root.join(HEADER);
    let header = generate(&workspace.root.join(SOURCES))?;
    if check {
        let committed = fs::read_to_string(&path).with_context(|| format!("cannot read {HEADER}"))?;
        ensure!(committed == header, "{HEADER} is stale: run cargo xtask header and commit it");
        return Ok(());
    }
    fs::write(&path, header).with_context(|| format!("cannot write {HEADER}"))?;
    println!("{}", path.display());
    Ok(())
}

/// The text of the header.
fn generate(sources: &Path) -> Result<String> {
    render::header(&read::interface(sources)?)
}
