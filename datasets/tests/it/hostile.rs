//! Files made to break a reader: each file or its rows are refused, within the memory limit.
//!
//! A separate process with a memory limit reads them, because a failed allocation ends the process. This tests that all
//! memory is counted before it is allocated.

use std::path::Path;
use std::process::Command;

use crate::raw_parquet::{Column, Kind, Page, Raw, STRUCT, Thrift, group, leaf, place, plain, run, sized, unsigned};
use crate::raw_parquet::{DELTA, DELTA_BYTES, DELTA_LENGTHS, DICTIONARY, PLAIN};
use anyflow_datasets::{Bound, Dataset, head, inspect};
use proptest::prelude::*;

/// Memory of the reading process.
const LIMIT_KB: u64 = 1 << 20;
const FOLDER: &str = "ANYFLOW_HOSTILE_FOLDER";
/// The most rows to read of a file; some claim a huge number.
const MOST_ROWS: u64 = 20_000;

use Thrift::{Binary, I16, I32, I64, List, Struct};

fn numbers(rows: i64) -> Column {
    let values = (0..rows).flat_map(i64::to_le_bytes).collect();
    Column::new("id", Kind::I64, rows, vec![Page::data(rows, PLAIN, values)])
}

fn texts(name: &str, rows: i64) -> Column {
    let values: Vec<Vec<u8>> = (0..rows).map(|row| format!("text {row}").into_bytes()).collect();
    Column::new(name, Kind::Bytes, rows, vec![Page::data(rows, PLAIN, plain(&values))])
}

fn whole() -> Raw {
    Raw::new(10, &[numbers(10), texts("text", 10)])
}

/// A list that claims missing items.
fn boast(item: u8, count: u64) -> Thrift {
    Thrift::Raw(9, [vec![0xf0 | item], unsigned(count)].concat())
}

/// Footers with false claims.
fn footers() -> Vec<(&'static str, Raw)> {
    let huge = i64::MAX;
    let two = |rows: i64| {
        let raw = whole().with(place::GROUP_ROWS, I64(rows));
        let group = raw.footer.clone().path(&[4, 0]).clone();
        raw.with(&[4], List(STRUCT, vec![group.clone(), group]))
    };
    let schema = |elements: Vec<Thrift>| whole().with(&[2], List(STRUCT, elements));
    let deep = |depth: usize| {
        let mut elements = vec![group("schema", 0, 1)];
        elements.extend((0..depth).map(|level| group(&format!("g{level}"), 0, 1)));
        elements.push(leaf("leaf", Kind::I64, 0));
        let mut raw = Raw::new(10, &[numbers(10)]).with(&[2], List(STRUCT, elements));
        let names = (0..depth).map(|level| Binary(format!("g{level}").into())).chain([Binary(b"leaf".to_vec())]);
        *raw.footer.path(&[4, 0, 1, 0, 3, 3]) = List(8, names.collect());
        raw
    };
    let nested = {
        let inner = [vec![0x1c; 50_000], vec![0; 50_001]].concat();
        whole().with(&[20], Thrift::Raw(STRUCT, inner))
    };
    vec![
        ("rows of 2^60", whole().with(place::GROUP_ROWS, I64(1 << 60)).with(place::VALUES, I64(1 << 60))),
        ("rows of 2^60 in no column", {
            let raw = Raw::new(1 << 60, &[]);
            raw.with(&[4, 0, 1], List(STRUCT, vec![]))
        }),
        ("rows that overflow", two(huge)),
        ("rows below zero", whole().with(place::GROUP_ROWS, I64(-5))),
        ("other rows than values", whole().with(place::GROUP_ROWS, I64(11))),
        ("values below zero", whole().with(place::VALUES, I64(-1))),
        ("unpacked 2^63", whole().with(place::UNPACKED, I64(huge))),
        ("unpacked below zero", whole().with(place::UNPACKED, I64(-1))),
        ("packed below zero", whole().with(place::PACKED, I64(-1))),
        ("packed 2^63", whole().with(place::PACKED, I64(huge))),
        ("data before the file", whole().with(place::DATA, I64(-4))),
        ("data behind the file", whole().with(place::DATA, I64(1 << 40))),
        ("a dictionary below zero", whole().with(&[4, 0, 1, 0, 3, 11], I64(i64::MIN))),
        ("two columns on one page", {
            let raw = whole();
            let data = raw.footer.clone().path(place::COLUMN).clone();
            let mut other = data.clone();
            *other.at(3) = List(8, vec![Binary(b"text".to_vec())]);
            raw.with(&[4, 0, 1, 1, 3], other)
        }),
        ("a row group twice", two(10)),
        ("5000 levels", deep(5000)),
        ("65 levels", deep(65)),
        ("children of 2^31", schema(vec![group("schema", 0, i64::from(i32::MAX)), leaf("id", Kind::I64, 0)])),
        ("children below zero", schema(vec![group("schema", 0, -1), leaf("id", Kind::I64, 0)])),
        ("children that are missing", schema(vec![group("schema", 0, 3), leaf("id", Kind::I64, 0)])),
        ("two roots", schema(vec![leaf("id", Kind::I64, 0), leaf("text", Kind::Bytes, 0)])),
        ("no schema", schema(vec![])),
        ("a schema of 2^31", whole().with(&[2], boast(STRUCT, 1 << 31))),
        ("row groups of 2^31 - 1", whole().with(&[4], boast(STRUCT, (1 << 31) - 1))),
        ("columns of 2^31 - 1", whole().with(&[4, 0, 1], boast(STRUCT, (1 << 31) - 1))),
        ("metadata of 2^31 - 1", whole().with(&[5], boast(STRUCT, (1 << 31) - 1))),
        ("encodings of 2^40", whole().with(&[4, 0, 1, 0, 3, 2], boast(5, 1 << 40))),
        ("a path of 2^31 - 1", whole().with(&[4, 0, 1, 0, 3, 3], boast(8, (1 << 31) - 1))),
        ("row groups that are a number", whole().with(&[4], I64(3))),
        ("a schema that is text", whole().with(&[2], Binary(vec![0x1c; 400]))),
        ("columns that are a record", whole().with(&[4, 0, 1], Struct(vec![(1, I32(1))]))),
        ("a number without end", whole().with(place::VALUES, Thrift::Raw(6, vec![0xff; 40]))),
        ("records in records", nested),
        ("a kind that does not exist", whole().with(&[20], Thrift::Raw(15, vec![0; 8]))),
        ("a text of 2^50", whole().with(&[6], Thrift::Raw(8, unsigned(1 << 50)))),
        ("statistics of 2^40", {
            let bytes = [vec![8, 2], unsigned(1 << 40)].concat();
            whole().with(&[4, 0, 1, 0, 3, 12], Thrift::Raw(STRUCT, bytes))
        }),
        ("a column in another file", whole().with(&[4, 0, 1, 0, 1], Binary(b"/etc/hostname".to_vec()))),
        ("two columns of one name", Raw::new(10, &[texts("a", 10), texts("a", 10)])),
        ("a codec that does not exist", whole().with(place::CODEC, I32(42))),
        ("a type that does not exist", whole().with(&[2, 1, 1], I32(77))),
        ("values of 2^31 - 1 bytes", {
            let mut column = numbers(10);
            let element =
                Struct(vec![(1, I32(7)), (2, I32(i64::from(i32::MAX))), (3, I32(0)), (4, Binary(b"id".to_vec()))]);
            (column.kind, column.schema) = (Kind::Fixed, Some(vec![element]));
            Raw::new(10, &[column])
        }),
        ("a group without rows and columns", Raw::new(0, &[])),
        ("an ordinal below zero", whole().with(&[4, 0, 7], I16(-1))),
    ]
}

/// Pages with false claims, or with more content than they claim.
fn pages() -> Vec<(&'static str, Raw)> {
    let bytes = |rows: i64, pages: Vec<Page>| Raw::new(rows, &[Column::new("x", Kind::Bytes, rows, pages)]);
    let packed = |rows: i64, pages: Vec<Page>| {
        let pages = pages.into_iter().map(Page::gzipped).collect();
        Raw::new(rows, &[Column::new("x", Kind::Bytes, rows, pages).gzip()])
    };
    let ints = |rows: i64, pages: Vec<Page>| Raw::new(rows, &[Column::new("x", Kind::I64, rows, pages)]);
    let most = i64::from(i32::MAX);
    let head = |id: i16, value: Thrift| {
        let mut page = numbers(10).pages.remove(0);
        page.head.set(id, value);
        ints(10, vec![page])
    };
    let zeros = |size: usize| plain(&[vec![0; size]]);
    // A list: optional group of repeated elements, in the oldest form.
    let list = |values: i64, pages: Vec<Page>| {
        let mut column = Column::new("x", Kind::I64, values, pages);
        column.schema = Some(vec![leaf("x", Kind::I64, 2)]);
        Raw::new(1, &[column])
    };
    let repeated = |count: i64, rows: u64| {
        let levels = [run(rows, 0, 1), run(count as u64 - rows, 1, 1)].concat();
        [sized(levels), sized(run(count as u64, 1, 1))].concat()
    };
    let index = |count: u64| [vec![1], run(count, 0, 1)].concat();
    let lengths = |count: u64| [vec![128, 1, 4], unsigned(count), vec![0]].concat();
    vec![
        ("a page of 2^31 - 1", packed(1, vec![Page::data(1, PLAIN, zeros(10)).gzipped().claiming(most)])),
        ("a page below zero", ints(10, vec![numbers(10).pages.remove(0).claiming(-1)])),
        ("a page behind its column", head(3, I32(1 << 20))),
        ("a page of bytes below zero", head(3, I32(-7))),
        ("a page of another kind", head(1, I32(9))),
        ("an index in place of a page", head(1, I32(1))),
        ("a head without page", head(5, I32(3))),
        ("a head of 2^40 bytes", head(30, Thrift::Raw(8, unsigned(1 << 40)))),
        ("a head of records in records", head(30, Thrift::Raw(STRUCT, vec![0x1c; 20_000]))),
        ("gzip that says less", {
            let page = Page::data(1, PLAIN, zeros(600 << 20)).gzipped().claiming(100);
            Raw::new(1, &[Column::new("x", Kind::Bytes, 1, vec![page]).gzip()])
        }),
        ("gzip that says more", packed(1, vec![Page::data(1, PLAIN, zeros(10))]).with(place::CODEC, I32(2))),
        ("a cell of 600 MB", packed(1, vec![Page::data(1, PLAIN, zeros(600 << 20))])),
        (
            "a dictionary of 2^31 - 1 values",
            bytes(10, vec![Page::dictionary(most, zeros(10)), Page::data(10, DICTIONARY, index(10))]),
        ),
        (
            "a dictionary of 2^31 - 1 numbers",
            ints(10, vec![Page::dictionary(most, vec![0; 64]), Page::data(10, DICTIONARY, index(10))]),
        ),
        ("no dictionary", bytes(10, vec![Page::data(10, DICTIONARY, index(10))])),
        (
            "a dictionary after its pages",
            bytes(10, vec![Page::data(10, DICTIONARY, index(10)), Page::dictionary(1, zeros(10))]),
        ),
        (
            "a long value a thousand times",
            packed(1000, vec![Page::dictionary(1, zeros(20 << 20)), Page::data(1000, DICTIONARY, index(1000))]),
        ),
        (
            "a list of 2^31 - 1",
            list(most, vec![Page::data(most, DICTIONARY, [repeated(most, 1), index(most as u64)].concat())]),
        ),
        ("a list of many pages", {
            let count = 30_000_000;
            let values = |first| [repeated(count, first), vec![1], run(count as u64, 0, 1)].concat();
            let mut pages = vec![Page::dictionary(1, vec![0; 8]), Page::data(count, DICTIONARY, values(1))];
            pages.extend((0..20).map(|_| Page::data(count, DICTIONARY, values(0))));
            list(count * 21, pages)
        }),
        ("lengths of 2^40", bytes(10, vec![Page::data(10, DELTA_LENGTHS, lengths(1 << 40))])),
        ("lengths of 2^31 - 1", bytes(10, vec![Page::data(10, DELTA_LENGTHS, lengths(most as u64))])),
        ("prefixes of 2^31 - 1", bytes(10, vec![Page::data(10, DELTA_BYTES, lengths(most as u64))])),
        ("suffixes of 2^31 - 1", {
            let prefixes = [vec![128, 1, 4, 1, 0]].concat();
            bytes(1, vec![Page::data(1, DELTA_BYTES, [prefixes, lengths(most as u64)].concat())])
        }),
        ("differences of 2^40", ints(10, vec![Page::data(10, DELTA, lengths(1 << 40))])),
        ("differences in no parts", ints(10, vec![Page::data(10, DELTA, vec![128, 1, 0, 10, 0])])),
        ("2^31 - 1 values in a page", ints(10, vec![Page::data(most, PLAIN, vec![0; 80])])),
        ("values below zero in a page", ints(10, vec![Page::data(-1, PLAIN, vec![0; 80])])),
        ("fewer rows than claimed", ints(10, vec![Page::data(6, PLAIN, vec![0; 48])])),
        ("more rows than claimed", ints(10, vec![Page::data(60, PLAIN, vec![0; 480])])),
        ("fewer bytes than values", ints(10, vec![Page::data(10, PLAIN, vec![0; 8])])),
        ("no page", ints(10, vec![])),
        ("an encoding that does not exist", ints(10, vec![Page::data(10, 99, vec![0; 80])])),
        ("a text behind its page", bytes(1, vec![Page::data(1, PLAIN, vec![255, 255, 255, 255, 1])])),
        ("levels of 2^31 - 1 bytes", ints(10, vec![Page::second(10, 10, [most, most], vec![0; 80])])),
        ("levels below zero", ints(10, vec![Page::second(10, 10, [-8, 0], vec![0; 80])])),
        ("levels behind their page", list(5, vec![Page::data(5, PLAIN, vec![255, 255, 255, 127, 0])])),
        ("forty columns of 20 MB", {
            let column = |at: i32| {
                let pages = vec![Page::data(1, PLAIN, zeros(20 << 20)).gzipped()];
                Column::new(&format!("c{at}"), Kind::Bytes, 1, pages).gzip()
            };
            Raw::new(1, &(0..40).map(column).collect::<Vec<_>>())
        }),
        ("flags that are one run", {
            let page = Page::data(most, 3, sized(run(most as u64, 1, 1)));
            Raw::new(10, &[Column::new("x", Kind::Bool, 10, vec![page])])
        }),
    ]
}

/// Reads a file in every way, and ignores the results.
fn read_all(path: &Path) {
    let Ok(dataset) = Dataset::open(&[path.to_path_buf()]) else { return };
    let _ = inspect(&dataset);
    let _ = head(&dataset, 20);
    let bound = Bound { rows: 1024, bytes: 16 << 20 };
    let mut rows = 0;
    for batch in dataset.read(None, 0..dataset.rows().min(MOST_ROWS), bound).unwrap() {
        let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        rows += batch.num_rows() as u64;
    }
    // No row is lost, with any claims.
    assert_eq!(rows, dataset.rows().min(MOST_ROWS), "{}", path.display());
    if dataset.rows() > 2 {
        let _ = dataset.take(None, &[2, 0], bound).map(|taken| taken.for_each(drop));
    }
}

/// Not a test: the other tests start it as a separate process.
#[test]
fn reader_of_a_folder() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        eprintln!("reading {}", file.display());
        read_all(&file);
    }
}

/// Reads all files of a folder in little memory.
#[track_caller]
fn survives(folder: &Path) {
    let program = std::env::current_exe().unwrap();
    let script =
        format!("ulimit -v {LIMIT_KB}; exec \"$0\" --exact hostile::reader_of_a_folder --nocapture --test-threads=1");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(output.status.success(), "{}: {last}", output.status);
}

#[test]
fn hostile_footers_and_pages_are_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let all = footers().into_iter().chain(pages());
    let mut count = 0;
    for (name, raw) in all {
        std::fs::write(folder.path().join(format!("{name}.parquet")), raw.bytes()).unwrap();
        count += 1;
    }
    assert!(count > 75, "{count}");
    survives(folder.path());
}

#[test]
fn hostile_footers_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let honest = ["a group without rows and columns", "an ordinal below zero"];
    for (name, raw) in footers() {
        let path = folder.path().join("data.parquet");
        std::fs::write(&path, raw.bytes()).unwrap();
        match Dataset::open(&[path]) {
            Ok(_) => assert!(honest.contains(&name), "{name} is accepted"),
            Err(error) => {
                assert_eq!(error.fault().exit_code(), 2, "{name}: {error}");
                assert!(error.to_string().contains("data.parquet"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn honest_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let repeated = [vec![1], run(1000, 0, 1)].concat();
    let values = Column::new(
        "x",
        Kind::Bytes,
        1000,
        vec![Page::dictionary(1, plain(&[vec![7; 40_000]])), Page::data(1000, DICTIONARY, repeated)],
    );
    std::fs::write(&path, Raw::new(1000, &[numbers(1000), texts("text", 1000), values]).bytes()).unwrap();
    let dataset = Dataset::open(&[path]).unwrap();
    let bound = Bound { rows: 1024, bytes: 4 << 20 };
    let batches: Vec<_> = dataset.read(None, 0..1000, bound).unwrap().map(Result::unwrap).collect();
    assert!(batches.iter().all(|batch| batch.unreadable.is_empty()));
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1000);
    // 104 rows of 40 kB are 4 MB.
    assert!((9..=11).contains(&batches.len()), "{}", batches.len());
}

/// A thousand cells of 2.2 MB in a file of 2 MB: a valid file of more than 2 GiB.
#[test]
fn more_than_two_gigabytes_are_read_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let page = Page::data(10, PLAIN, plain(&vec![vec![0; 2_200_000]; 10])).gzipped();
    let column = Column::new("image", Kind::Bytes, 1000, vec![page; 100]).gzip();
    std::fs::write(folder.path().join("big.parquet"), Raw::new(1000, &[column]).bytes()).unwrap();
    survives(folder.path());
    let dataset = Dataset::open(&[folder.path().to_path_buf()]).unwrap();
    let last = dataset.read(None, 900..1000, Bound::rows(1024)).unwrap().map(|batch| batch.unwrap().unreadable.len());
    assert_eq!(last.sum::<usize>(), 0);
}

#[test]
fn a_row_that_is_too_large_is_unreadable_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.parquet");
    let page = |size: usize| Page::data(1, PLAIN, plain(&[vec![0; size]])).gzipped();
    let pages = vec![page(10), page(70 << 20), page(20)];
    std::fs::write(&path, Raw::new(3, &[Column::new("x", Kind::Bytes, 3, pages).gzip()]).bytes()).unwrap();
    let dataset = Dataset::open(&[path]).unwrap();
    let read = |memory: u64| -> Vec<(usize, String)> {
        let batches = dataset.clone().with_memory(memory).read(None, 0..3, Bound::rows(9)).unwrap();
        let bad = batches.flat_map(|batch| {
            let batch = batch.unwrap();
            let bad = batch.unreadable.clone().into_iter();
            bad.map(move |bad| (batch.first_row as usize + bad.row, bad.reason)).collect::<Vec<_>>()
        });
        bad.collect()
    };
    assert_eq!(read(4 << 30), []);
    let bad = read(1 << 20);
    assert_eq!(bad.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1]);
    assert!(
        bad[0].1.contains("bytes at one time, more than the 67108864") && bad[0].1.contains("--memory"),
        "{}",
        bad[0].1
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 6, ..ProptestConfig::default() })]

    /// Changes any bytes of a footer or of pages, and reads a folder of such files in little memory.
    #[test]
    fn files_changed_anywhere_are_read_in_little_memory(
        changes in proptest::collection::vec((0.0f64..1.0, any::<u8>(), any::<bool>()), 60),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let list = {
            let levels = [sized([run(1, 0, 1), run(9, 1, 1)].concat()), sized(run(10, 1, 1))].concat();
            let mut column = Column::new("l", Kind::I32, 10, vec![Page::data(10, PLAIN, [levels, vec![0; 40]].concat())]);
            column.schema = Some(vec![leaf("l", Kind::I32, 2)]);
            Raw::new(1, &[column])
        };
        let bases = [whole().bytes(), list.bytes(), pages().into_iter().find(|(name, _)| *name == "no page").unwrap().1.bytes()];
        for (at, (place, byte, near_the_end)) in changes.into_iter().enumerate() {
            let mut bytes = bases[at % bases.len()].clone();
            let start = if near_the_end { bytes.len() * 2 / 3 } else { 0 };
            let index = start + ((bytes.len() - start) as f64 * place) as usize;
            bytes[index] = byte;
            std::fs::write(folder.path().join(format!("{at}.parquet")), bytes).unwrap();
        }
        survives(folder.path());
    }
}

#[test]
fn an_encrypted_column_is_named() {
    // The key of the footer encrypts the pages of the second column.
    let key = Struct(vec![(1, Struct(Vec::new()))]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    std::fs::write(&path, whole().with(&[4, 0, 1, 1, 8], key).bytes()).unwrap();
    let text = Dataset::open(&[path]).unwrap_err().to_string();
    assert!(text.contains("the encrypted column `text` is not supported"), "{text}");
}
