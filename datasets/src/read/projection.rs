//! The columns of one file that a reader asks for, and their conversion to the dataset's types.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;

use super::join::widened;
use super::part::{Part, Place};
use super::size::fixed_bytes;

/// What to decode of a file, and what to make of it.
#[derive(Debug)]
pub(super) struct Projection {
    /// Columns to decode, in file order without repeats, as the Parquet reader returns them.
    pub(super) decoded: Arc<[usize]>,
    /// Bytes of a converted row that do not depend on its values.
    pub(super) row_bytes: u64,
    places: Vec<Place>,
    schema: SchemaRef,
}

impl Projection {
    /// The columns at `indices` of the dataset, whose fields `schema` has in the same order.
    pub(super) fn new(part: &Part, indices: &[usize], schema: &SchemaRef) -> Projection {
        let places: Vec<Place> = indices.iter().map(|index| part.places[*index].clone()).collect();
        let own = |place: &Place| if let Place::File(index) = place { Some(*index) } else { None };
        let mut decoded: Vec<usize> = places.iter().filter_map(own).collect();
        decoded.sort_unstable();
        decoded.dedup();
        let row_bytes = schema.fields().iter().map(|field| fixed_bytes(field.data_type()));
        let row_bytes = row_bytes.fold(0, u64::saturating_add);
        Projection { decoded: decoded.into(), row_bytes, places, schema: schema.clone() }
    }

    /// Converts a decoded batch.
    ///
    /// # Errors
    /// The batch does not fit the dataset's types.
    pub(super) fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = batch.num_rows();
        let column = |(place, field): (&Place, &FieldRef)| match place {
            Place::File(index) => {
                let decoded = self.decoded.partition_point(|other| other < index);
                widened(batch.column(decoded), field.data_type())
            }
            Place::Folder(Some(text)) => {
                let texts: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); rows]));
                cast(&texts, field.data_type())
            }
            Place::Folder(None) | Place::Nowhere => Ok(new_null_array(field.data_type(), rows)),
        };
        let columns = self.places.iter().zip(self.schema.fields()).map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
    }
}
