//! Columns in the names of folders, as Spark, DuckDB and pyarrow write them: `lang=de/part-0.parquet`.

use std::path::Path;

use crate::store::is_address;

/// A column that has one value in all rows of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderColumn {
    pub(crate) name: String,
    /// `None` for a null.
    pub(crate) value: Option<String>,
}

/// The value that stands for a null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns that the folders directly above a file give, from the outermost on.
pub(super) fn columns_of(file: &Path) -> Vec<FolderColumn> {
    // A path from the current folder has its folders too.
    let absolute = if is_address(file) { Ok(file.to_path_buf()) } else { std::path::absolute(file) };
    let Ok(file) = absolute else { return Vec::new() };
    let folders = file.ancestors().skip(1);
    let mut columns: Vec<FolderColumn> = folders.map_while(column).collect();
    columns.reverse();
    columns
}

fn column(folder: &Path) -> Option<FolderColumn> {
    let (name, value) = folder.file_name()?.to_str()?.split_once('=').filter(|(name, _)| !name.is_empty())?;
    let value = (value != NULL).then(|| unescaped(value));
    Some(FolderColumn { name: unescaped(name), value })
}

/// Replaces `%3A` by `:`. Text that is not escaped this way stays.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_above_a_file_are_columns() {
        let columns = |path: &str| {
            let columns = columns_of(Path::new(path)).into_iter();
            columns.map(|column| (column.name, column.value.unwrap_or("null".into()))).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(columns("/x/lang=de/year=2020/a.parquet"), [pair("lang", "de"), pair("year", "2020")]);
        // Only folders that follow each other down to the file.
        assert_eq!(columns("/x/run=3/data/a.parquet"), []);
        assert_eq!(columns("/t=12%3A30%2/a=b=c/f"), [pair("t", "12:30%2"), pair("a", "b=c")]);
        assert_eq!(columns("/d=__HIVE_DEFAULT_PARTITION__/e=/f"), [pair("d", "null"), pair("e", "")]);
        assert_eq!(columns("/=x/f"), []);
    }
}
