//! What targets need that read files: a folder in memory where libFuzzer's bytes become one.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyflow_weights::{KeyMap, Listing, WeightsError};
use anyflow_datasets::{ColumnTypes, Dataset, DatasetError, ImportSource, head, import, inspect};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a folder")
});

/// The bytes as a file of this name.
///
/// # Panics
/// It cannot be written.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// A Parquet file opens and is read as a whole, or it is refused.
///
/// # Panics
/// It is refused without a word, or for a reason that is ours.
pub fn parquet(bytes: &[u8]) {
    let path = file("data.parquet", bytes);
    let read = || -> Result<(), DatasetError> {
        let dataset = Dataset::open(&[path])?;
        inspect(&dataset);
        head(&dataset, 3)?;
        dataset.read(None, 0..dataset.rows().min(1000), 64)?.try_for_each(|batch| batch.map(drop))
    };
    refused(read());
}

/// A stranger's file of this name imports, or it is refused.
///
/// # Panics
/// As [`parquet`].
pub fn imported(name: &str, bytes: &[u8]) {
    let path = file(name, bytes);
    let out = FOLDER.path().join("out.parquet");
    refused(ImportSource::detect(&[path]).and_then(|source| import(&source, &ColumnTypes::default(), &out)).map(drop));
}

/// A weights file of any format is read as a whole, or it is refused; its headers alone list the same tensors. The same bytes are
/// an index of files, or a key map, or they are refused.
///
/// # Panics
/// It is refused without a word.
pub fn weights(bytes: &[u8]) {
    let path = file("model.pth", bytes);
    let listed = Listing::of(&path, None);
    if let Err(error) = Listing::of(&file("model.safetensors.index.json", bytes), None) {
        assert!(!error.to_string().is_empty(), "refused without a word");
    }
    if let Ok(map) = std::str::from_utf8(bytes).map(|text| KeyMap::parse("own", text)) {
        map.map_or_else(|error| assert!(!error.to_string().is_empty()), |map| drop(map.land("a.0.b")));
    }
    let mut count = 0;
    let read = anyflow_weights::read_any(&path, |entry, bytes| -> anyflow_weights::Result<()> {
        assert_eq!(entry.size_bytes, bytes.len(), "{entry:?}");
        count += 1;
        Ok(())
    });
    match (read, listed) {
        (Ok(_), Ok(listed)) => assert_eq!(listed.tensors.len(), count),
        (Err(error), _) => assert!(!error.to_string().is_empty(), "refused without a word"),
        (Ok(_), Err(error)) => assert!(matches!(error.error, WeightsError::Quantized { .. }), "{error}"),
    }
}

fn refused(result: Result<(), DatasetError>) {
    if let Err(error) = result {
        let text = error.to_string();
        assert!(!text.is_empty(), "refused without a word");
        assert!(!matches!(error, DatasetError::Internal { .. }), "{text}");
    }
}
