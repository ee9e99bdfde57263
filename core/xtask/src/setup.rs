//! `cargo xtask setup`: finds libtorch or fetches it, and links it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{cache, fetch, libtorch, link};

/// Finds libtorch and creates the links. Fast after the first time.
///
/// # Errors
///
/// Each error says what the user can do.
pub fn run(workspace: &Workspace) -> Result<()> {
    let root = find(workspace)?;
    for place in link::places(&workspace.root, &workspace.target) {
        link::point(&place, &root)?;
    }
    eprintln!("libtorch {}: {}", libtorch::VERSION, root.display());
    Ok(())
}

/// `LIBTORCH` if set, else the libtorch of an earlier set-up, else the copy in the cache, which is fetched if missing.
fn find(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(given) = workspace.libtorch_given() {
        return libtorch::open(&given)
            .context("LIBTORCH cannot be used: set it to another folder, or unset it to fetch one");
    }
    // Otherwise every later command would need a user's `LIBTORCH` in its environment.
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
