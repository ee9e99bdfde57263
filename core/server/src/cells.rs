//! Cells as JSON: what clients send, and what they get back.

use anyflow_datasets::{Cell, CellColumn, Feature, Features, Media, OwnedCell, OwnedList, column_from_cells};
use anyflow_plan::descriptor::CellKind;
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use serde_json::{Value, json};

/// The media type of bytes that no table knows. Browsers download them.
pub const UNKNOWN_MEDIA: &str = "application/octet-stream";
/// The most characters of a text.
const LONGEST_TEXT: usize = 1 << 16;

/// A column that a pipeline reads.
#[derive(Clone, Debug)]
pub struct InputColumn {
    /// The name of the input.
    pub input: String,
    /// The name of the column.
    pub column: String,
    /// The kind of its cells.
    pub cell: CellKind,
    /// What the codec declares of them.
    pub feature: Feature,
    /// Names of classes, by number; empty if the cells are no classes with names.
    pub classes: Vec<String>,
}

/// A column with its cells.
pub struct FilledColumn {
    /// The column.
    pub column: InputColumn,
    /// A cell per row; `None` for null.
    pub cells: Vec<Option<OwnedCell>>,
}

impl InputColumn {
    /// A cell from the JSON of a client; `None` for null.
    ///
    /// # Errors
    /// The JSON is of another kind than the cells.
    pub fn cell(&self, value: &Value) -> Result<Option<OwnedCell>, String> {
        let wrong = |wanted: &str| Err(format!("expected {wanted}, found {}", kind_of(value)));
        Ok(Some(match (self.cell, value) {
            (_, Value::Null) => return Ok(None),
            (CellKind::Bytes, value) => OwnedCell::Bytes(bytes(value)?),
            (CellKind::Files, Value::Array(files)) => {
                OwnedCell::Files(files.iter().map(bytes).collect::<Result<_, _>>()?)
            }
            (CellKind::Files, _) => return wrong("a list of files"),
            (CellKind::Utf8, Value::String(text)) if text.len() <= LONGEST_TEXT => OwnedCell::Utf8(text.clone()),
            (CellKind::Utf8, Value::String(_)) => return Err(format!("the text has more than {LONGEST_TEXT} bytes")),
            (CellKind::Utf8, _) => return wrong("a text"),
            (CellKind::I64, Value::String(name)) => OwnedCell::I64(self.class(name)?),
            (CellKind::I64, value) => match value.as_i64() {
                Some(number) => OwnedCell::I64(number),
                None => return wrong("an integer"),
            },
            (CellKind::F64, value) => match value.as_f64() {
                Some(number) => OwnedCell::F64(number),
                None => return wrong("a number"),
            },
            (CellKind::List(depth), value) => {
                let (mut values, mut lengths) = (Vec::new(), Vec::new());
                flatten(value, depth, &mut values, &mut lengths)?;
                let list = OwnedList::new(depth, values, lengths);
                OwnedCell::List(list.ok_or_else(|| format!("expected lists in {depth} levels"))?)
            }
        }))
    }

    /// A cell from a part of a form: the bytes of a file, or text that is read as JSON unless the cells are text.
    ///
    /// # Errors
    /// The part is of another kind than the cells.
    pub fn cell_of_part(&self, part: &[u8]) -> Result<Option<OwnedCell>, String> {
        let text = || std::str::from_utf8(part).map_err(|_| "expected text in UTF-8".to_string());
        match self.cell {
            CellKind::Bytes => Ok(Some(OwnedCell::Bytes(part.to_vec()))),
            CellKind::Files => Ok(Some(OwnedCell::Files(vec![part.to_vec()]))),
            CellKind::Utf8 => self.cell(&Value::String(text()?.into())),
            CellKind::I64 | CellKind::F64 | CellKind::List(_) => {
                let text = text()?;
                self.cell(&serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into())))
            }
        }
    }

    fn class(&self, name: &str) -> Result<i64, String> {
        let index = self.classes.iter().position(|class| class == name.trim());
        let index = index.and_then(|index| i64::try_from(index).ok()).or_else(|| name.trim().parse().ok());
        index.ok_or_else(|| match self.classes.is_empty() {
            true => format!("expected an integer, found `{name}`"),
            false => format!("unknown class `{name}`; use one of {}", self.classes.join(", ")),
        })
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// `{"base64": "..."}`.
fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.get("base64").and_then(Value::as_str);
    let text = text.ok_or_else(|| format!("expected {{\"base64\": \"...\"}}, found {}", kind_of(value)))?;
    STANDARD.decode(text).map_err(|error| format!("cannot read the base64 text ({error})"))
}

/// Appends a list's numbers and its lengths, in the layout of [`anyflow_datasets::List`].
fn flatten(value: &Value, depth: u32, values: &mut Vec<f64>, lengths: &mut Vec<u64>) -> Result<(), String> {
    let items = value.as_array().ok_or_else(|| format!("expected a list, found {}", kind_of(value)))?;
    lengths.push(items.len() as u64);
    for item in items {
        if depth > 1 {
            flatten(item, depth - 1, values, lengths)?;
        } else {
            values.push(item.as_f64().ok_or_else(|| format!("expected a number, found {}", kind_of(item)))?);
        }
    }
    Ok(())
}

/// Rows as an Arrow IPC stream, from columns of cells.
///
/// # Errors
/// A cell does not fit its column.
pub fn encoded(columns: &[FilledColumn]) -> Result<Vec<u8>, String> {
    let mut arrays = Vec::new();
    let mut features = IndexMap::new();
    for FilledColumn { column, cells } in columns {
        let array =
            column_from_cells(cells, &column.feature).map_err(|error| format!("`{}`: {error}", column.column))?;
        features.insert(column.column.clone(), column.feature.clone());
        arrays.push(array);
    }
    let schema = Features(features).to_schema().ok_or("a column has no Arrow type")?;
    let batch = RecordBatch::try_new(schema.into(), arrays).map_err(|error| error.to_string())?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(|error| error.to_string())?;
    writer.write(&batch).map_err(|error| error.to_string())?;
    writer.into_inner().map_err(|error| error.to_string())
}

/// Rows that the engine sent, or that are stored.
pub struct Rows {
    /// What the columns mean.
    pub features: Features,
    /// The rows.
    pub batch: RecordBatch,
}

impl Rows {
    /// Reads an Arrow IPC stream.
    ///
    /// # Errors
    /// The bytes are no such stream.
    pub fn decode(bytes: &[u8]) -> Result<Rows, String> {
        let reader = StreamReader::try_new(bytes, None).map_err(|error| error.to_string())?;
        let schema = reader.schema();
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let batch = arrow::compute::concat_batches(&schema, &batches).map_err(|error| error.to_string())?;
        Ok(Rows { features: Features::from_schema(&schema), batch })
    }

    /// The cells of a column; `None` if there is no such column of single values.
    pub fn column(&self, name: &str) -> Option<CellColumn> {
        CellColumn::new(self.batch.column_by_name(name)?, self.features.get(name)?).ok()
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.features.keys()
    }
}

/// A cell as JSON; `file` makes the JSON of a file's bytes.
pub fn shown(cell: Option<Cell<'_>>, file: impl Fn(&[u8], &'static str) -> Value) -> Value {
    match cell {
        None => Value::Null,
        Some(Cell::Bytes(bytes)) => file(bytes, media_type(bytes)),
        Some(Cell::Utf8(text)) => json!({"text": text}),
        Some(Cell::I64(number)) => json!({"number": number}),
        Some(Cell::F64(number)) => json!({"number": number}),
        // A list prints itself as JSON.
        Some(Cell::List(list)) => json!({"list": serde_json::from_str::<Value>(&format!("{list:?}")).ok()}),
        Some(Cell::Files(files)) => json!({"files": files.len()}),
    }
}

/// A file inside JSON.
pub fn inline(bytes: &[u8], media: &'static str) -> Value {
    json!({"media": media, "base64": STANDARD.encode(bytes)})
}

/// The type of a medium, by its first bytes. Never one that a browser runs.
pub fn media_type(bytes: &[u8]) -> &'static str {
    Media::from_bytes(bytes).map_or(UNKNOWN_MEDIA, |media| media.media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cell: CellKind, feature: &str, classes: &[&str]) -> InputColumn {
        let classes = classes.iter().map(ToString::to_string).collect();
        InputColumn {
            input: "c".into(),
            column: "c".into(),
            cell,
            feature: Feature::declared(feature).unwrap(),
            classes,
        }
    }

    #[test]
    fn cells_of_every_kind_pass_to_arrow_and_back() {
        let cases = [
            (column(CellKind::Utf8, "Value(string)", &[]), json!("seven"), json!({"text": "seven"})),
            (column(CellKind::I64, "Value(int64)", &["zero", "one"]), json!("one"), json!({"number": 1})),
            (column(CellKind::I64, "Value(int64)", &[]), json!(7), json!({"number": 7})),
            (column(CellKind::F64, "Value(float64)", &[]), json!(0.5), json!({"number": 0.5})),
            (
                column(CellKind::List(2), "List(List(Value(float64)))", &[]),
                json!([[1.0, 2.0], [], [3.5]]),
                json!({"list": [[1, 2], [], [3.5]]}),
            ),
            (column(CellKind::Utf8, "Value(string)", &[]), json!(null), json!(null)),
        ];
        for (column, sent, expected) in cases {
            let cell = column.cell(&sent).unwrap();
            let rows = Rows::decode(&encoded(&[FilledColumn { column, cells: vec![cell] }]).unwrap()).unwrap();
            let cells = rows.column("c").unwrap();
            assert_eq!(shown(cells.get(0).unwrap(), inline), expected);
        }
        let image = column(CellKind::Bytes, "Image", &[]);
        let png = b"\x89PNG\r\n\x1a\n rest";
        let cells = vec![image.cell_of_part(png).unwrap()];
        let rows = encoded(&[FilledColumn { column: image, cells }]).unwrap();
        let cells = Rows::decode(&rows).unwrap().column("c").unwrap();
        let found = shown(cells.get(0).unwrap(), inline);
        assert_eq!((&found["media"], &found["base64"]), (&json!("image/png"), &json!(STANDARD.encode(png))));
    }

    #[test]
    fn a_wrong_cell_says_what_was_expected() {
        let refused = |column: InputColumn, value: Value| column.cell(&value).unwrap_err();
        let text = refused(column(CellKind::I64, "Value(int64)", &["zero"]), json!("ten"));
        assert_eq!(text, "unknown class `ten`; use one of zero");
        let text = refused(column(CellKind::Bytes, "Image", &[]), json!("a.png"));
        assert_eq!(text, "expected {\"base64\": \"...\"}, found a text");
        let text = refused(column(CellKind::List(2), "List(List(Value(float64)))", &[]), json!([1]));
        assert_eq!(text, "expected a list, found a number");
    }

    #[test]
    fn markup_is_never_a_medium_that_a_browser_runs() {
        for bytes in [&b"<html><script>1</script>"[..], b"<svg xmlns='x'>", b"%PDF-1.7", b""] {
            assert_eq!(media_type(bytes), UNKNOWN_MEDIA);
        }
    }
}
