//! Statistics of a column from the footers.

use arrow::datatypes::DataType;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use serde_json::Value;

use super::ColumnSummary;
use super::head::shortest;
use crate::feature::{CellKind, Feature};
use crate::read::Dataset;

/// Sums over all chunks of the column at `index`.
pub(super) fn summary(dataset: &Dataset, index: usize) -> ColumnSummary {
    let field = dataset.schema().field(index);
    let feature = &dataset.features()[field.name()];
    let mut summary = ColumnSummary {
        name: field.name().clone(),
        feature: feature.describe(),
        classes: if let Feature::ClassLabel { names } = feature { names.clone() } else { Vec::new() },
        arrow_type: field.data_type().to_string(),
        compressed_bytes: 0,
        uncompressed_bytes: 0,
        compression: Vec::new(),
        nulls: Some(0),
        min: None,
        max: None,
    };
    let plain = !matches!(feature.cell(), None | Some(CellKind::List(_) | CellKind::Files));
    let single = plain && !field.data_type().is_nested();
    let mut complete = single;
    for part in dataset.parts() {
        let Some(own) = part.own_column(index) else { continue };
        let schema = part.metadata.parquet_schema();
        for group in part.metadata.metadata().row_groups() {
            let leaves = (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == own);
            for chunk in leaves.map(|leaf| group.column(leaf)) {
                add_sizes(&mut summary, chunk);
                if counts_nulls(feature, single, chunk) {
                    let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
                    summary.nulls = summary.nulls.zip(nulls).map(|(a, b)| a + b);
                }
                complete = complete && add_range(&mut summary, chunk);
            }
        }
    }
    if !plain {
        summary.nulls = None;
    }
    unsign(&mut summary, field.data_type());
    if !complete {
        (summary.min, summary.max) = (None, None);
    }
    summary
}

/// True if the chunk's null count is that of the column. A media row is null if its bytes are.
fn counts_nulls(feature: &Feature, single: bool, chunk: &ColumnChunkMetaData) -> bool {
    single || (feature.cell().is_some() && chunk.column_path().parts().last().is_some_and(|name| name == "bytes"))
}

fn add_sizes(summary: &mut ColumnSummary, chunk: &ColumnChunkMetaData) {
    summary.compressed_bytes += u64::try_from(chunk.compressed_size()).unwrap_or(0);
    summary.uncompressed_bytes += u64::try_from(chunk.uncompressed_size()).unwrap_or(0);
    let spelled = chunk.compression().to_string().to_lowercase();
    // The Parquet writer adds a level that readers do not know: "zstd(zstdlevel(1))".
    let codec = spelled.split('(').next().unwrap_or_default().to_string();
    if !summary.compression.contains(&codec) {
        summary.compression.push(codec);
    }
}

/// Extends min and max by those of a chunk. Returns false if the chunk has none and is not all null.
fn add_range(summary: &mut ColumnSummary, chunk: &ColumnChunkMetaData) -> bool {
    let Some(statistics) = chunk.statistics() else { return false };
    if statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok() {
        return true;
    }
    let Some((min, max)) = range(statistics) else { return false };
    if summary.min.as_ref().is_none_or(|known| less(&min, known)) {
        summary.min = Some(min);
    }
    if summary.max.as_ref().is_none_or(|known| less(known, &max)) {
        summary.max = Some(max);
    }
    true
}

fn range(statistics: &Statistics) -> Option<(Value, Value)> {
    fn pair<T: Clone + Into<Value>>(min: Option<&T>, max: Option<&T>) -> Option<(Value, Value)> {
        Some((min?.clone().into(), max?.clone().into()))
    }
    let short = |value: &f32| shortest(*value);
    match statistics {
        Statistics::Boolean(s) => pair(s.min_opt(), s.max_opt()),
        Statistics::Int32(s) => pair(s.min_opt(), s.max_opt()),
        Statistics::Int64(s) => pair(s.min_opt(), s.max_opt()),
        Statistics::Float(s) => pair(s.min_opt().map(short).as_ref(), s.max_opt().map(short).as_ref()),
        Statistics::Double(s) => pair(s.min_opt(), s.max_opt()),
        Statistics::ByteArray(s) => {
            let text = |bytes: &parquet::data_type::ByteArray| std::str::from_utf8(bytes.data()).ok().map(Value::from);
            Some((text(s.min_opt()?)?, text(s.max_opt()?)?))
        }
        Statistics::Int96(_) | Statistics::FixedLenByteArray(_) => None,
    }
}

/// Converts min and max of unsigned columns: Parquet stores them in signed fields of the same bits.
fn unsign(summary: &mut ColumnSummary, data_type: &DataType) {
    for bound in [&mut summary.min, &mut summary.max].into_iter().flatten() {
        let Some(signed) = bound.as_i64() else { continue };
        match data_type {
            DataType::UInt32 => *bound = Value::from(signed as u32),
            DataType::UInt64 => *bound = Value::from(signed.cast_unsigned()),
            _ => {}
        }
    }
}

fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a < b,
            _ => a.as_f64() < b.as_f64(),
        },
        (Value::String(a), Value::String(b)) => a < b,
        (Value::Bool(a), Value::Bool(b)) => a < b,
        _ => false,
    }
}
