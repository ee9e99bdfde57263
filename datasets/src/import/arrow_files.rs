//! Arrow IPC files: folders that `save_to_disk` of Hugging Face `datasets` writes, and Feather files.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;

use super::{ARROW, Imported, ends_in, ensure_beneath, messages, refusal, regular};
use crate::beneath::Beneath;
use crate::error::{DatasetError, Result, io_error};
use crate::feature::Features;
use crate::foreign;
use crate::natural::by_number;
use crate::read::guard::guarded;
use crate::write::TableWriter;

/// First bytes of a Feather file. A stream of messages follows, after zeros up to a multiple of [`ALIGNMENT`].
const FEATHER: &[u8] = b"ARROW1\0\0";
const ALIGNMENT: usize = 64;
/// The file in which `datasets` lists the splits of a `DatasetDict`.
const SPLITS: &str = "dataset_dict.json";

/// The Arrow files in a folder, in natural order.
///
/// # Errors
/// [`DatasetError::Import`] for a link out of the folder; [`DatasetError::Splits`] for a folder of several datasets.
pub(super) fn within(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join(SPLITS).is_file() {
        return Err(splits(folder)?);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "open"))? {
        let path = entry.map_err(io_error(folder, "list"))?.path();
        if ends_in(&path, ARROW) && path.is_file() {
            ensure_beneath(folder, Path::new(path.file_name().unwrap_or_default()))?;
            found.push(path);
        }
    }
    found.sort_by(|a, b| by_number(a, b));
    Ok(found)
}

fn splits(folder: &Path) -> Result<DatasetError> {
    let text = Beneath::open(folder, Path::new(SPLITS)).and_then(Beneath::read);
    let text = text.map_err(|reason| refusal(&folder.join(SPLITS), reason))?;
    let names = serde_json::from_slice::<serde_json::Value>(&text).ok();
    let names = names.as_ref().and_then(|json| json["splits"].as_array()).into_iter().flatten();
    let names: Vec<&str> = names.filter_map(|name| name.as_str()).collect();
    let reason = format!("it holds the splits {}, which are not imported together", names.join(", "));
    let choices = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    Ok(DatasetError::Splits { path: folder.to_path_buf(), reason, choices })
}

/// Writes the rows of all files unchanged; all files have the same columns.
pub(super) fn import(files: &[PathBuf], out: &Path) -> Result<Imported> {
    let mut table: Option<(TableWriter, SchemaRef)> = None;
    let mut features = Features::default();
    for file in files {
        let mut reader = open(file)?;
        let schema = reader.schema();
        if let Some((_, first)) = table.as_ref().filter(|(_, first)| first.fields() != schema.fields()) {
            return Err(refusal(
                file,
                format!("has other columns than {}: {}", files[0].display(), differing(first, &schema)),
            ));
        }
        let (writer, _) = match &mut table {
            Some(table) => table,
            empty => {
                features = Features::from_schema(&schema);
                empty.insert((TableWriter::create(out, &schema, &features)?, schema))
            }
        };
        while let Some(batch) = guarded(|| reader.next().transpose()).map_err(|error| damaged(file, &error))? {
            writer.write(&batch)?;
        }
    }
    let Some((writer, _)) = table else { return Err(DatasetError::internal("importing", "no file is named")) };
    Ok(Imported { rows: writer.finish()?.rows, features, left_out: Vec::new(), notes: Vec::new(), is_damaged: false })
}

fn open(path: &Path) -> Result<StreamReader<BufReader<File>>> {
    let mut file = regular(path)?;
    let mut head = Vec::new();
    (&file).take(ALIGNMENT as u64).read_to_end(&mut head).map_err(io_error(path, "read"))?;
    if let Some(found) = foreign::pointer_or_page(&head) {
        return Err(refusal(path, found));
    }
    let start = start_of_stream(&head) as u64;
    messages::check(path, &mut file, start)?;
    file.seek(SeekFrom::Start(start)).map_err(io_error(path, "read"))?;
    guarded(|| StreamReader::try_new(BufReader::new(file), None)).map_err(|error| damaged(path, &error))
}

fn start_of_stream(head: &[u8]) -> usize {
    match head.strip_prefix(FEATHER) {
        Some(rest) => FEATHER.len() + rest.iter().take_while(|byte| **byte == 0).count(),
        None => 0,
    }
}

/// The first column that differs.
fn differing(first: &Schema, other: &Schema) -> String {
    let unequal = first.fields().iter().zip(other.fields()).find(|(one, two)| one != two);
    unequal.map_or_else(
        || format!("{} instead of {}", other.fields().len(), first.fields().len()),
        |(one, two)| format!("`{}` {} instead of `{}` {}", two.name(), two.data_type(), one.name(), one.data_type()),
    )
}

fn damaged(path: &Path, error: &str) -> DatasetError {
    refusal(path, format!("is damaged or of an unknown kind ({error}); write it again"))
}
