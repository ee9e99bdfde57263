//! The arrays that a source makes of its columns.

use anyflow_datasets::CellColumn;
use anyflow_plan::plan::{ArrayMaker, ColumnRef};
use tch::{Kind, Tensor};

use super::TableReading;
use crate::Result;
use crate::cells::{FailedCell, read_cells, read_numbers};
use crate::plugin::Codec;

/// An array that a source makes of a column: that of a stream or prompt, or of one of those that a prompt is made of.
pub struct SourceArray<'a> {
    /// Its name.
    pub name: String,
    /// The column of its cells.
    pub column: &'a ColumnRef,
    /// What makes it.
    pub reader: CellReader<'a>,
}

/// What makes an array of cells.
pub enum CellReader<'a> {
    /// The codec of a stream or prompt.
    Codec {
        /// The stream or prompt.
        of: String,
        /// Its codec.
        codec: &'a Codec,
    },
    /// Nothing: the cells are lists of numbers.
    Numbers {
        /// How many.
        count: i64,
        /// What is declared of the cells.
        feature: &'a str,
    },
}

impl<'a> SourceArray<'a> {
    /// The arrays of the column of a stream or prompt.
    pub fn of(stream: &str, column: &'a ColumnRef, reading: &'a TableReading<'a>) -> Vec<Self> {
        let reader = |maker| match maker {
            ArrayMaker::Codec(of) => CellReader::Codec { codec: &reading.session.codecs[&of], of },
            ArrayMaker::Numbers(count) => {
                CellReader::Numbers { count, feature: reading.model.feature(stream).unwrap_or_default() }
            }
        };
        let arrays = reading.model.arrays(stream).into_iter();
        arrays.map(|(name, maker)| SourceArray { name, column, reader: reader(maker) }).collect()
    }
}

impl CellReader<'_> {
    /// What is declared of the cells.
    pub fn feature(&self) -> &str {
        match self {
            CellReader::Codec { codec, .. } => codec.feature(),
            CellReader::Numbers { feature, .. } => feature,
        }
    }

    /// The shape of a row.
    pub fn shape(&self) -> Vec<i64> {
        match self {
            CellReader::Codec { codec, .. } => codec.shape().to_vec(),
            CellReader::Numbers { count, .. } => vec![*count],
        }
    }

    /// The type of the elements.
    pub fn kind(&self) -> Kind {
        match self {
            CellReader::Codec { codec, .. } => codec.kind(),
            CellReader::Numbers { .. } => Kind::Float,
        }
    }

    /// Reads cells: `[row, axes]` in host memory, and the rows without an array, which are zero.
    ///
    /// # Errors
    /// The codec failed as a whole.
    pub fn read(&self, cells: CellColumn, threads: usize) -> Result<(Tensor, Vec<FailedCell>)> {
        match self {
            CellReader::Codec { codec, .. } => read_cells(codec, cells, threads),
            CellReader::Numbers { count, .. } => read_numbers(&cells, *count),
        }
    }
}
