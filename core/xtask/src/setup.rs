//! `cargo xtask setup`: find libtorch, or fetch it, and make the links to it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{cache, fetch, libtorch, link};

/// Finds libtorch and makes the links. After the first time this takes no time.
///
/// # Errors
///
/// Each says what the user can do.
pub fn run(workspace: &Workspace) -> Result<()> {
    let root = find(workspace)?;
    for place in link::places(&workspace.root, &workspace.target) {
        link::point(&place, &root)?;
    }
    println!("libtorch {}: {}", libtorch::VERSION, root.display());
    Ok(())
}

/// `LIBTORCH` if set, else what an earlier set-up chose, else the copy in the cache, which is fetched if it is absent.
fn find(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(given) = workspace.libtorch_given() {
        return libtorch::open(&given)
            .context("the LIBTORCH you set does not fit: point it elsewhere, or unset it and let set-up fetch one");
    }
    // Without this, a user's own libtorch would be needed in the environment of every later command.
    if let Ok(chosen) = libtorch::open(&workspace.link()) {
        return Ok(chosen);
    }
    let cached = cache::folder()?.join(format!("libtorch-{}", libtorch::VERSION));
    if !cached.exists() {
        fetch::into(&cached)?;
    }
    libtorch::open(&cached).with_context(|| {
        format!("the cached libtorch is damaged: remove {} and run `cargo xtask setup` again", cached.display())
    })
}
