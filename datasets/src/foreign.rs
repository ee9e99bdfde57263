//! Names files of other formats by their first bytes, and says what to do with them.

/// The most first bytes that [`named`] looks at.
pub(crate) const HEAD_BYTES: u64 = 32;

/// First bytes, and what the file is.
const FORMATS: &[(&[u8], &str)] = &[
    (LFS_POINTER, "it is a Git LFS pointer; `git lfs pull` fetches the file"),
    (b"ARROW1", "it is an Arrow IPC (Feather) file; `anyflow data import` makes it a Parquet file"),
    (
        b"\xff\xff\xff\xff",
        "it is a stream of Arrow batches, as `save_to_disk` of datasets makes; `anyflow data import FOLDER` makes it a Parquet file",
    ),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"\x89HDF", "it is an HDF5 file; write it as Parquet"),
    (b"\x93NUMPY", "it is a NumPy array; write it as a column of a Parquet file"),
    (b"PK\x03\x04", "it is a zip file, such as .xlsx and .npz; unpack it, or write it as Parquet or CSV"),
    (b"ORC", "it is an ORC file; write it as Parquet"),
    (b"Obj\x01", "it is an Avro file; write it as Parquet"),
    (b"SQLite format 3", "it is an SQLite database; write its table as Parquet or CSV"),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd; unpack it"),
    (b"<!DOCTYPE", PAGE),
    (b"<!doctype", PAGE),
    (b"<html", PAGE),
];
const LFS_POINTER: &[u8] = b"version https://git-lfs";
const PICKLE: &str = "it is a pickle file, which can run code; write it as Parquet, for example with pandas";
const PAGE: &str = "it is an HTML page, perhaps the error page of a download; fetch the file again";

/// What a file is, by its first bytes.
pub(crate) fn named(head: &[u8]) -> Option<&'static str> {
    FORMATS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}

/// What a file is that no reader of texts should read.
pub(crate) fn pointer_or_page(head: &[u8]) -> Option<&'static str> {
    named(head).filter(|name| *name == PAGE || head.starts_with(LFS_POINTER))
}
