//! The table of a training or an evaluation: an array per stream, in memory or mapped, and the join of its sources.

mod memory;
mod selection;
mod source;
mod source_array;

use anyflow_plan::plan::{ColumnRef, Model, Table};
use indexmap::{IndexMap, IndexSet};
use tch::Tensor;

use crate::events::Events;
use crate::{Result, RunError, Session};
pub use selection::{RowNeeds, Selection};
pub use source::{Piece, SourceReader, SourceRows};
pub use source_array::{CellReader, SourceArray};

/// A table of a training or an evaluation. Its rows are tuples of the rows of one or several sources. `A` holds the rows of
/// an array: a tensor `[row, axes]` in memory, or a column of a mapped file. A stream or prompt has one array of its name; a
/// prompt that is made of others has [one for each](Model::arrays).
pub struct TableData<A> {
    sources: IndexMap<String, SourceRows<A>>,
    /// All tuples.
    all: Selection,
    /// Array -> index of its source.
    array_source: IndexMap<String, usize>,
    class_source: Option<usize>,
}

/// The files, codecs and events for reading a table.
pub struct TableReading<'a> {
    /// The name of the table in events.
    pub part: &'a str,
    /// Files by source.
    pub files: &'a IndexMap<String, Vec<String>>,
    /// The model whose streams and prompts the columns are.
    pub model: &'a Model,
    /// Its codecs.
    pub session: &'a Session,
    /// Threads for codecs.
    pub threads: usize,
    /// What becomes of rows with a null cell.
    pub incomplete: Incomplete,
    /// The receiver of progress.
    pub events: &'a Events,
}

/// What becomes of rows with a null cell in a column of a stream or in the class column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// They lack the stream or the class.
    Keep,
    /// They are left out.
    LeaveOut,
}

impl TableData<Tensor> {
    /// Reads a table into memory.
    ///
    /// # Errors
    /// Errors of the datasets; a table without rows.
    pub fn read(table: &Table, reading: &TableReading<'_>) -> Result<Self> {
        TableData::of(table, reading, memory::read)
    }

    /// Selects a stream's rows of these tuples from `all`, which is indexed like [`TableData::array`].
    ///
    /// # Errors
    /// A row is out of range, which is a bug.
    pub fn select(&self, stream: &str, all: &Tensor, tuples: &Tuples) -> Result<Tensor> {
        let index = Tensor::from_slice(&tuples.rows[self.array_source[stream]]).f_to_device(all.device())?;
        Ok(all.f_index_select(0, &index)?)
    }
}

impl<A> TableData<A> {
    /// Makes a table whose sources `read` reads.
    ///
    /// # Errors
    /// Errors of `read`; a table without rows.
    pub fn of(
        table: &Table,
        reading: &TableReading<'_>,
        read: impl Fn(&SourceReader<'_>) -> Result<SourceRows<A>>,
    ) -> Result<Self> {
        let part = reading.part;
        let refs = table.columns.values().chain(&table.class);
        let names: IndexSet<&String> = refs.map(|column| &column.source).collect();
        let mut sources = IndexMap::new();
        for source in names {
            let rows = read(&SourceReader { name: source, table, reading })?;
            if let Some(text) = rows.missing_text() {
                reading.events.note(format!("{part}: {source}: {text}; they are absent there"));
            }
            sources.insert(source.clone(), rows);
        }
        let index = |c: &ColumnRef| sources.get_index_of(&c.source).unwrap_or_default();
        let arrays = |stream: &String| reading.model.arrays(stream).into_keys();
        let columns = table.columns.iter();
        let array_source =
            columns.flat_map(|(stream, column)| arrays(stream).map(move |name| (name, index(column)))).collect();
        let class_source = table.class.as_ref().map(index);
        let all = Selection::of(&sources, &RowNeeds::default());
        if all.rows() == 0 {
            return Err(RunError::Data(format!(
                "{part} has no rows: its sources are empty, or no value of the join column occurs in all of them; check the \
                 sources and `join`"
            )));
        }
        Ok(TableData { sources, all, array_source, class_source })
    }

    /// All tuples.
    pub fn all(&self) -> &Selection {
        &self.all
    }

    /// The tuples of the rows that meet these needs.
    pub fn selection(&self, needs: &RowNeeds) -> Selection {
        Selection::of(&self.sources, needs)
    }

    /// The arrays of the table.
    pub fn arrays(&self) -> impl Iterator<Item = &String> {
        self.array_source.keys()
    }

    /// The array of a stream in all rows of its source. Sources differ in their numbers of rows.
    pub fn array(&self, stream: &str) -> Option<&A> {
        let source = *self.array_source.get(stream)?;
        self.sources[source].arrays.get(stream)
    }

    /// Which rows of a stream's source lack it, as in [`TableData::array`]; `None` if every row has it.
    pub fn missing(&self, stream: &str) -> Option<&[bool]> {
        let source = *self.array_source.get(stream)?;
        self.sources[source].missing.get(stream).map(Vec::as_slice)
    }

    /// The number of rows that lack an array, for each array that some rows lack.
    pub fn missing_counts(&self) -> IndexMap<&str, usize> {
        let count = |missing: &[bool]| missing.iter().filter(|missing| **missing).count();
        let arrays = self.arrays().map(String::as_str);
        arrays.filter_map(|array| Some((array, count(self.missing(array)?)))).collect()
    }

    /// The row indices of a stream's source in these tuples, as in [`TableData::array`].
    pub fn rows_of(&self, stream: &str, tuples: &Tuples) -> Vec<u32> {
        tuples.rows[self.array_source[stream]].iter().map(|row| *row as u32).collect()
    }

    /// Class of each row of a stream's source, as in [`TableData::array`]: the class column of that source, or else the
    /// join column parsed as an integer.
    ///
    /// # Errors
    /// The source has neither.
    pub fn class_of_rows(&self, stream: &str) -> Result<Vec<i64>> {
        let source = &self.sources[self.array_source[stream]];
        if !source.class.is_empty() {
            let class = source.class.iter().copied().collect::<Option<_>>();
            return class.ok_or_else(|| RunError::Internal(format!("a row of stream {stream} has no class")));
        }
        let class = source.join.iter().map(|value| value.parse::<i64>().ok()).collect::<Option<Vec<_>>>();
        class.filter(|class| !class.is_empty()).ok_or_else(|| {
            RunError::Data(format!("the classes of stream {stream} are unknown; join its source on the class column"))
        })
    }

    /// Checks that all classes are in 0..`count`.
    ///
    /// # Errors
    /// [`RunError::Data`] names the first class that is not.
    pub fn check_classes(&self, scorer: &str, count: i64) -> Result<()> {
        let classes = self.class_source.map_or(&[][..], |source| &self.sources[source].class);
        let known = classes.iter().enumerate().filter_map(|(row, class)| Some((row, (*class)?)));
        match known.into_iter().find(|(_, class)| !(0..count).contains(class)) {
            None => Ok(()),
            Some((row, class)) => Err(RunError::Data(format!(
                "scorer {scorer} has {count} classes, numbered from 0, but the class column has {class} (in readable row \
                 {row}, counted from 0); set `classes` of the scorer to the number of classes in the data"
            ))),
        }
    }

    /// The class of all rows, if it is the same. Rows without a class do not count.
    pub fn only_class(&self) -> Option<i64> {
        let classes = self.class_source.map_or(&[][..], |source| &self.sources[source].class);
        let mut known = classes.iter().copied().flatten();
        let first = known.next()?;
        known.all(|class| class == first).then_some(first)
    }

    /// Class of each tuple.
    ///
    /// # Errors
    /// The table has no class, which planning excludes, or a row has none, which a [`Selection`] excludes.
    pub fn classes(&self, tuples: &Tuples) -> Result<Vec<i64>> {
        let source = self.class_source.ok_or_else(|| RunError::Internal("the table has no class".into()))?;
        let classes = tuples.rows[source].iter().map(|row| self.sources[source].class[*row as usize]);
        classes.collect::<Option<_>>().ok_or_else(|| RunError::Internal("a row has no class".into()))
    }
}

/// Joined rows of a batch.
pub struct Tuples {
    /// Per source, the row index of each tuple.
    rows: Vec<Vec<i64>>,
}

impl Tuples {
    /// Number of tuples.
    pub fn len(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// The first `count` tuples, or all if there are fewer.
    pub fn first(&self, count: usize) -> Tuples {
        Tuples { rows: self.rows.iter().map(|rows| rows.iter().copied().take(count).collect()).collect() }
    }
}
