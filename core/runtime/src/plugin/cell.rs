//! Copies the cells that a plugin reports. Every part is checked before it is used.

use anyflow_abi::{CellView, ListView, StrView, cell_kind, items};
use anyflow_datasets::{OwnedCell, OwnedList};

const MOST_BYTES: usize = CellView::MOST_BYTES;
/// Maximum number of files of a cell.
const MOST_FILES: usize = 1 << 20;

/// Copies a cell.
///
/// # Errors
/// The cell is invalid.
///
/// # Safety
/// The cell, its bytes and its lists are readable, unless they are null.
pub(super) unsafe fn owned(cell: *const CellView) -> Result<OwnedCell, String> {
    if cell.is_null() {
        return Err("it reported no cell".into());
    }
    // SAFETY: as the caller promises.
    let cell = unsafe { items(cell, 1) }.map_err(|why| format!("its cell {why}"))?;
    let Some(cell) = cell.first() else { return Err("it reported no cell".into()) };
    // SAFETY: as the caller promises, here and below.
    let bytes = || unsafe { bytes(cell.bytes, MOST_BYTES) };
    match cell.kind {
        cell_kind::BYTES => bytes().map(OwnedCell::Bytes),
        cell_kind::UTF8 => bytes()
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "its text is not UTF-8".into()))
            .map(OwnedCell::Utf8),
        cell_kind::I64 => Ok(OwnedCell::I64(cell.integer)),
        cell_kind::F64 => Ok(OwnedCell::F64(cell.real)),
        // SAFETY: see above.
        cell_kind::LIST => unsafe { cell.list().ok_or("its list does not add up".into()).and_then(|l| list(l)) },
        cell_kind::FILES if cell.bytes.len > MOST_FILES * size_of::<StrView>() => {
            Err(format!("its cell has more than {MOST_FILES} files"))
        }
        // SAFETY: see above.
        cell_kind::FILES => unsafe { cell.files().ok_or("its files do not add up".into()).and_then(|f| files(f)) },
        kind => Err(format!("its cell has the unknown kind {kind}")),
    }
}

/// # Safety
/// The bytes are readable, unless they are null.
unsafe fn bytes(bytes: StrView, most: usize) -> Result<Vec<u8>, String> {
    if bytes.len > most {
        return Err(format!("its cell has {} bytes, more than the {most} allowed", bytes.len));
    }
    // SAFETY: as the caller promises.
    copied(unsafe { bytes.bytes() }.map_err(|why| format!("the content of its cell {why}"))?)
}

/// # Safety
/// The bytes of `files` are readable, unless they are null.
unsafe fn files(files: &[StrView]) -> Result<OwnedCell, String> {
    let mut room = MOST_BYTES;
    let mut owned = Vec::new();
    for file in files {
        // SAFETY: as the caller promises.
        let bytes = unsafe { bytes(*file, room)? };
        room -= bytes.len();
        owned.push(bytes);
    }
    Ok(OwnedCell::Files(owned))
}

/// # Safety
/// The numbers and lengths of `list` are readable, unless they are null.
unsafe fn list(list: &ListView) -> Result<OwnedCell, String> {
    let size = |count: usize| count.saturating_mul(size_of::<f64>());
    if size(list.values_len).saturating_add(size(list.lengths_len)) > MOST_BYTES {
        return Err(format!(
            "its list has {} numbers and {} lengths, more than the {MOST_BYTES} bytes allowed",
            list.values_len, list.lengths_len
        ));
    }
    // SAFETY: as the caller promises.
    let (values, lengths) = unsafe { list.parts() }.ok_or("its list does not add up")?;
    let owned = OwnedList::new(list.depth, copied(values)?, copied(lengths)?);
    owned.map(OwnedCell::List).ok_or_else(|| "its list does not add up".into())
}

/// Copies items, if there is enough memory.
fn copied<T: Copy>(items: &[T]) -> Result<Vec<T>, String> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(items.len())
        .map_err(|_| format!("out of memory for the {} items of its cell", items.len()))?;
    copy.extend_from_slice(items);
    Ok(copy)
}
