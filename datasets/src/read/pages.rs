//! Checks and counts the pages of one row group before Parquet's decoder gets them.
//!
//! A page claims its size and number of values in its header, and the sizes of values in its dictionary. None of these
//! claims is trusted. Headers are walked before anything is allocated for them. Gzip, whose output is unbounded, is
//! first unpacked without storing it. A [`Meter`] adds up the largest possible size of a page's values.

use std::sync::Arc;

use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use super::chunk::ChunkFile;
use super::delta;
use super::meter::Meter;
use crate::data_file::OpenFile;

/// One row group of an open file.
pub(super) struct Group {
    pub(super) file: OpenFile,
    pub(super) metadata: Arc<ParquetMetaData>,
    pub(super) index: usize,
    pub(super) meter: Arc<Meter>,
    /// The most rows of a batch.
    pub(super) batch_rows: usize,
}

impl Group {
    fn row_group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.index)
    }

    fn pages(&self, leaf: usize) -> Result<Pages> {
        let column = self.row_group().column(leaf);
        let chunk = ChunkFile::new(self.file.clone(), column, leaf, self.meter.clone());
        let inner = SerializedPageReader::new(Arc::new(chunk), column, self.num_rows(), None)?;
        let values = Values::of(column.column_descr(), self.batch_rows);
        Ok(Pages { inner, leaf, values, longest: 0, meter: self.meter.clone() })
    }
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.row_group().num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        Ok(Box::new(OneChunk(Some(self.pages(leaf)?))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.row_group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The only chunk of a column in a row group.
struct OneChunk(Option<Pages>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for OneChunk {}

/// Properties of a column's values that are known from its type.
struct Values {
    /// Bytes per value; `None` for texts and binary values.
    width: Option<u64>,
    max_definition: i16,
    max_repetition: i16,
    batch_rows: u64,
}

impl Values {
    fn of(column: &ColumnDescriptor, batch_rows: usize) -> Values {
        let width = match column.physical_type() {
            Type::BOOLEAN => Some(1),
            Type::INT32 | Type::FLOAT => Some(4),
            Type::INT64 | Type::DOUBLE => Some(8),
            Type::INT96 => Some(12),
            Type::FIXED_LEN_BYTE_ARRAY => Some(u64::try_from(column.type_length()).unwrap_or(0)),
            Type::BYTE_ARRAY => None,
        };
        let max_definition = column.max_def_level();
        let max_repetition = column.max_rep_level();
        Values { width, max_definition, max_repetition, batch_rows: batch_rows as u64 }
    }

    /// The most values of a page in one batch. In lists, all of them may belong to one row.
    fn taken(&self, page: &Page) -> u64 {
        let all = u64::from(page.num_values());
        if self.max_repetition == 0 { all.min(self.batch_rows) } else { all }
    }

    /// The start of the values of a data page, behind their levels.
    fn start(&self, page: &Page) -> Option<usize> {
        match page {
            Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len, .. } => {
                usize::try_from(u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len)).ok()
            }
            Page::DataPage { buf, num_values, def_level_encoding, rep_level_encoding, .. } => {
                let levels = [(self.max_repetition, rep_level_encoding), (self.max_definition, def_level_encoding)];
                levels.into_iter().filter(|(most, _)| *most > 0).try_fold(0usize, |at, (most, encoding)| {
                    let length = if *encoding == Encoding::RLE {
                        let head = buf.get(at..at.checked_add(4)?)?;
                        4 + u32::from_le_bytes(head.try_into().ok()?) as usize
                    } else {
                        let bits = u64::from(most.unsigned_abs().ilog2() + 1);
                        usize::try_from((u64::from(*num_values) * bits).div_ceil(8)).ok()?
                    };
                    at.checked_add(length)
                })
            }
            Page::DictionaryPage { .. } => Some(0),
        }
    }
}

/// The pages of a column chunk.
struct Pages {
    inner: SerializedPageReader<ChunkFile>,
    leaf: usize,
    values: Values,
    /// Bytes of the longest value of the dictionary.
    longest: u64,
    meter: Arc<Meter>,
}

impl Pages {
    fn admit(&mut self, page: &Page) -> Result<(), String> {
        let bytes = page.buffer().len() as u64;
        if let Page::DictionaryPage { buf, num_values, .. } = page {
            // A value of variable width takes at least four bytes in a dictionary, for its length.
            if u64::from(*num_values).saturating_mul(self.values.width.unwrap_or(4)) > bytes {
                return Err(format!("a dictionary of {bytes} bytes claims {num_values} values"));
            }
            self.longest = longest(buf);
            return Ok(());
        }
        let taken = self.values.taken(page);
        let decoded = match (self.values.width, page.encoding()) {
            (Some(width), _) => taken.saturating_mul(width),
            (None, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY) => taken.saturating_mul(self.longest),
            (None, encoding @ (Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY)) => {
                self.check_lengths(page, encoding)?;
                // Values share prefixes with earlier values, which the page does not repeat.
                if encoding == Encoding::DELTA_BYTE_ARRAY { taken.saturating_mul(bytes) } else { bytes }
            }
            (None, _) => bytes,
        };
        // Offsets and levels.
        self.meter.decode(self.leaf, decoded.saturating_add(taken.saturating_mul(12)))
    }

    /// Checks the number of separately packed lengths, because the decoder allocates memory for them.
    fn check_lengths(&self, page: &Page, encoding: Encoding) -> Result<(), String> {
        let wrong = || format!("a page of {} values has no lengths for them", page.num_values());
        let mut values = self.values.start(page).and_then(|start| page.buffer().get(start..)).ok_or_else(wrong)?;
        for _ in 0..if encoding == Encoding::DELTA_BYTE_ARRAY { 2 } else { 1 } {
            let block = delta::walk(values).filter(|block| block.count <= u64::from(page.num_values()));
            values = block.and_then(|block| values.get(block.end..)).ok_or_else(wrong)?;
        }
        Ok(())
    }
}

/// Bytes of the longest of consecutive values, each preceded by its length.
fn longest(mut values: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((head, rest)) = values.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*head);
        longest = longest.max(u64::from(length));
        let Some(behind) = rest.get(length as usize..) else { break };
        values = behind;
    }
    longest
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        if let Some(page) = &page {
            self.admit(page).map_err(ParquetError::General)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}
