//! Key maps, by which names in published files become those of a model. The planner knows them by name only.

/// True for a key map that is a file; a built-in one has neither dots nor folders in its name.
pub(crate) fn is_file(map: &str) -> bool {
    map.contains(['/', '.'])
}
