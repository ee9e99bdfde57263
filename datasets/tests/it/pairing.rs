//! Pairs share a class, are complete, and depend only on data and seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::{GIF, all_ids, blobs, ints, labels, open, table, value, write};
use anyflow_datasets::{Cell, Dataset, DatasetError, Feature, Lost, Paired, Renamed, join, pair};

/// Images: classes 0, 1, 2 with 5, 3, 4 rows; the blob names class and id.
fn images(folder: &Path) -> Dataset {
    side(folder, "images.parquet", Feature::Image, "image", &[0, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 2], 100)
}

/// Sounds: classes 0, 1, 3 with 2, 4, 1 rows.
fn sounds(folder: &Path) -> Dataset {
    let audio = Feature::Audio { sampling_rate: Some(8000) };
    side(folder, "sounds.parquet", audio, "audio", &[1, 0, 1, 3, 0, 1, 1], 200)
}

fn side(folder: &Path, name: &str, media: Feature, column: &str, classes: &[i64], first_id: i64) -> Dataset {
    let ids: Vec<i64> = (first_id..first_id + classes.len() as i64).collect();
    let files = classes.iter().zip(&ids).map(|(class, id)| format!("{class} {id}").into_bytes());
    let (batch, features) = table(vec![
        ("id", value("int64"), ints(ids.clone())),
        (column, media, blobs(files)),
        ("label", labels(&["zero", "one", "two", "three"]), ints(classes.iter().copied())),
    ]);
    write(&folder.join(name), &batch, &features);
    open(&folder.join(name))
}

fn pair_into(folder: &Path, name: &str, multiplicity: u32, seed: u64) -> (Paired, PathBuf) {
    let out = folder.join(name);
    let paired = pair(&images(folder), &sounds(folder), "label", multiplicity, seed, &out).unwrap();
    (paired, out)
}

fn renamed(column: &str) -> Renamed {
    [(column.to_string(), ["a", "b"].map(|side| format!("{column}_{side}")).into())].into()
}

#[test]
fn pairs_share_a_class_and_every_row_of_a_shared_class_has_a_partner() {
    let folder = tempfile::tempdir().unwrap();
    let (paired, out) = pair_into(folder.path(), "pairs.parquet", 3, 7);
    // Class 0: 5 against 2, class 1: 3 against 4, each three times; classes 2 and 3 are on one side only.
    assert_eq!(
        paired,
        Paired { rows: 27, classes: 2, unpaired_a: 4, unpaired_b: 1, renamed: renamed("id"), lost: Lost::default() }
    );
    let dataset = open(&out);
    let columns: Vec<&String> = dataset.features().keys().collect();
    assert_eq!(columns, ["id", "label", "id_a", "image", "id_b", "audio"]);
    assert_eq!(dataset.features()["audio"], Feature::Audio { sampling_rate: Some(8000) });
    assert_eq!(all_ids(&dataset), (0..27).collect::<Vec<_>>());
    let batch = dataset.read(None, 0..27, 27).unwrap().next().unwrap().unwrap();
    let cells = |name: &str| dataset.cells(&batch, name).unwrap();
    let label = cells("label");
    let image = cells("image");
    let audio = cells("audio");
    let mut used: [BTreeMap<String, u32>; 2] = Default::default();
    for row in 0..27 {
        let Some(Cell::I64(class)) = label.get(row).unwrap() else { panic!() };
        for (side, column) in [&image, &audio].into_iter().enumerate() {
            let Some(Cell::Bytes(bytes)) = column.get(row).unwrap() else { panic!() };
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.starts_with(&format!("{class} ")), "row {row}: {text} in class {class}");
            *used[side].entry(text).or_default() += 1;
        }
    }
    // The longer side is used once per matching, the shorter one at least as often.
    assert!(used[0].iter().filter(|(text, _)| text.starts_with('0')).all(|(_, count)| *count == 3));
    assert!(used[1].iter().filter(|(text, _)| text.starts_with('1')).all(|(_, count)| *count == 3));
    assert!(used.iter().flatten().all(|(_, count)| *count >= 3));
    assert_eq!((used[0].len(), used[1].len()), (8, 6));
}

#[test]
fn pairs_depend_on_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let a = read(pair_into(folder.path(), "a.parquet", 2, 1).1);
    let b = read(pair_into(folder.path(), "b.parquet", 2, 1).1);
    let c = read(pair_into(folder.path(), "c.parquet", 2, 2).1);
    assert!(a == b);
    assert!(a != c);
}

#[test]
fn matchings_differ() {
    let folder = tempfile::tempdir().unwrap();
    let (_, out) = pair_into(folder.path(), "pairs.parquet", 20, 3);
    let dataset = open(&out);
    let batch = dataset.read(None, 0..dataset.rows(), 4096).unwrap().next().unwrap().unwrap();
    let image = dataset.cells(&batch, "image").unwrap();
    let audio = dataset.cells(&batch, "audio").unwrap();
    let text = |cell: Option<Cell<'_>>| format!("{cell:?}");
    let distinct: BTreeSet<(String, String)> =
        (0..batch.num_rows()).map(|row| (text(image.get(row).unwrap()), text(audio.get(row).unwrap()))).collect();
    // 5 x 2 + 3 x 4 pairs are possible; twenty matchings almost certainly cover all.
    assert_eq!(distinct.len(), 22);
}

#[test]
fn a_column_of_unique_values_gives_a_join_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let a = side(folder.path(), "a.parquet", Feature::Image, "image", &[0, 1, 2, 3], 10);
    let b = side(folder.path(), "b.parquet", Feature::Video, "video", &[2, 3], 12);
    let out = folder.path().join("joined.parquet");
    let paired = pair(&a, &b, "id", 1, 0, &out).unwrap();
    assert_eq!(
        paired,
        Paired { rows: 2, classes: 2, unpaired_a: 2, unpaired_b: 0, renamed: renamed("label"), lost: Lost::default() }
    );
    let dataset = open(&out);
    assert_eq!(all_ids(&dataset), [12, 13]);
    let columns: Vec<&String> = dataset.features().keys().collect();
    assert_eq!(columns, ["id", "image", "label_a", "video", "label_b"]);
}

#[test]
fn classes_are_compared_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (batch, features) = table(vec![("label", labels(&["one", "zero"]), ints([0, 1]))]);
    let path = folder.path().join("other.parquet");
    write(&path, &batch, &features);
    let out = folder.path().join("pairs.parquet");
    pair(&images(folder.path()), &open(&path), "label", 1, 0, &out).unwrap();
    let dataset = open(&out);
    assert_eq!(dataset.rows(), 8);
    assert_eq!(dataset.features()["label"], labels(&["zero", "one", "two", "three"]));
}

#[test]
fn columns_that_share_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (batch, features) = table(vec![("label", value("int64"), ints([70, 80]))]);
    let path = folder.path().join("other.parquet");
    write(&path, &batch, &features);
    let out = folder.path().join("pairs.parquet");
    let error = pair(&images(folder.path()), &open(&path), "label", 1, 0, &out).unwrap_err();
    assert!(matches!(error, DatasetError::NothingToPair { .. }), "{error}");
    assert!(!out.exists());
    let error = pair(&images(folder.path()), &open(&path), "lable", 1, 0, &out).unwrap_err();
    assert!(matches!(error, DatasetError::UnknownColumn { .. }), "{error}");
}

#[test]
fn pairs_with_a_missing_file_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let write_rows = |name: &str, column: &str, cells: &[&str]| {
        let (batch, features) = table(vec![
            ("id", value("int64"), ints([1, 2, 3])),
            (column, value("string"), crate::importing::text(cells)),
        ]);
        write(&folder.path().join(name), &batch, &features);
        open(&folder.path().join(name))
    };
    std::fs::write(folder.path().join("a.gif"), GIF).unwrap();
    let images =
        write_rows("images.parquet", "image", &["a.gif", "gone.gif", "a.gif"]).with_files([("image", "Image")]);
    let notes = write_rows("notes.parquet", "note", &["one", "two", "three"]);
    let out = folder.path().join("out.parquet");
    let paired = pair(&images, &notes, "id", 1, 0, &out).unwrap();
    assert_eq!((paired.rows, paired.lost.unreadable), (2, 1));
    assert!(paired.lost.reason.unwrap().contains("gone.gif"));
    assert_eq!(all_ids(&open(&out)), [1, 3]);
    let joined = join(&notes, &images, "id", &out).unwrap();
    assert_eq!((joined.rows, joined.unmatched_b, joined.lost.unreadable), (2, 0, 1));
    let cells = crate::importing::column(&open(&out), "image");
    assert_eq!(cells, blobs([GIF.to_vec(), GIF.to_vec()]));
}
