//! The files of sources.

use indexmap::IndexMap;

use crate::source::{Source, joined};
use crate::spec::SourceSpec;

/// The files of every source, in the data folder. A generated source becomes a file in the output folder.
pub(crate) fn files(sources: &[SourceSpec], source: &Source, data_root: Option<&str>) -> IndexMap<String, Vec<String>> {
    let joined = |path: &str| data_root.map_or_else(|| source.beside(path), |root| joined(root, path));
    let files = |spec: &SourceSpec| match &spec.generated {
        Some(_) => vec![format!("data/{}.parquet", spec.name.value)],
        None => spec.paths.iter().map(|path| joined(&path.value)).collect(),
    };
    sources.iter().map(|spec| (spec.name.value.clone(), files(spec))).collect()
}
