//! Every source becomes the same kind of file.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::{GIF, labels, open, value, wav};
use anyflow_datasets::{Cell, Dataset, DatasetError, Feature, ImportSource, Imported, OwnedCell, OwnedList, import};

/// Detects, imports and opens.
fn imported(paths: &[PathBuf], out: &Path) -> (Imported, Dataset) {
    let source = ImportSource::detect(paths).unwrap();
    let imported = import(&source, out).unwrap();
    let dataset = open(out);
    assert_eq!(dataset.features(), &imported.features);
    assert_eq!(dataset.rows(), imported.rows);
    (imported, dataset)
}

fn column(dataset: &Dataset, name: &str) -> Vec<Option<OwnedCell>> {
    let batches = dataset.read(Some(&[name]), 0..dataset.rows(), 100).unwrap();
    let cells = batches.flat_map(|batch| {
        let cells = dataset.cells(&batch.unwrap(), name).unwrap();
        (0..cells.len()).map(|row| cells.get(row).unwrap().map(Cell::into_owned)).collect::<Vec<_>>()
    });
    cells.collect()
}

fn text(words: &[&str]) -> Vec<Option<OwnedCell>> {
    words.iter().map(|word| Some(OwnedCell::Utf8((*word).into()))).collect()
}

fn refused(paths: &[PathBuf], out: &Path) -> String {
    let error = import(&ImportSource::detect(paths).unwrap(), out).unwrap_err();
    assert!(matches!(error, DatasetError::Import { .. }), "{error}");
    assert!(!out.exists());
    let temporary = out.with_file_name(format!(".{}.tmp", out.file_name().unwrap().to_string_lossy()));
    assert!(!temporary.exists());
    error.to_string()
}

fn put(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn sub_folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pets");
    put(&root.join("dog/b.gif"), GIF);
    put(&root.join("cat/a.gif"), GIF);
    put(&root.join("cat/README.txt"), "not a picture");
    put(&root.join(".hidden/x.gif"), GIF);
    let (_, dataset) = imported(&[root], &folder.path().join("out.parquet"));
    assert_eq!(column(&dataset, "id"), text(&["cat/a.gif", "dog/b.gif"]));
    assert_eq!(dataset.features()["image"], Feature::Image);
    assert_eq!(dataset.features()["label"], labels(&["cat", "dog"]));
    assert_eq!(column(&dataset, "label"), crate::support::ints([0, 1]));
    assert_eq!(column(&dataset, "image"), crate::support::blobs([GIF.to_vec(), GIF.to_vec()]));
}

#[test]
fn metadata_adds_columns_and_sets_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("sounds");
    for name in ["a.wav", "b.wav", "c.wav"] {
        put(&root.join(name), wav(10));
    }
    let lines =
        "{\"file_name\": \"b.wav\", \"text\": \"bee\", \"n\": 2}\n{\"file_name\": \"a.wav\", \"text\": \"ay\"}\n";
    put(&root.join("metadata.jsonl"), lines);
    let out = folder.path().join("out.parquet");
    let (report, dataset) = imported(std::slice::from_ref(&root), &out);
    assert_eq!(report.left_out, 1);
    assert_eq!(column(&dataset, "id"), text(&["b.wav", "a.wav"]));
    assert_eq!(column(&dataset, "text"), text(&["bee", "ay"]));
    assert_eq!(column(&dataset, "n"), [Some(OwnedCell::I64(2)), None]);
    assert_eq!(dataset.features()["audio"], Feature::Audio { sampling_rate: None });
    std::fs::remove_file(root.join("metadata.jsonl")).unwrap();
    put(&root.join("metadata.csv"), "id,file_name,score\n7,c.wav,0.5\n");
    let (_, dataset) = imported(&[root], &out);
    assert_eq!(column(&dataset, "id"), crate::support::ints([7]));
    assert_eq!(column(&dataset, "score"), [Some(OwnedCell::F64(0.5))]);
}

#[test]
fn folders_that_cannot_be_understood_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let root = folder.path().join("mixed");
    put(&root.join("a.gif"), GIF);
    put(&root.join("b.wav"), wav(1));
    let text = refused(std::slice::from_ref(&root), &out);
    assert!(text.contains("mixes"), "{text}");
    std::fs::remove_file(root.join("b.wav")).unwrap();
    put(&root.join("metadata.csv"), "name\na.gif\n");
    assert!(refused(std::slice::from_ref(&root), &out).contains("file_name"));
    put(&root.join("metadata.csv"), "file_name\ngone.gif\n");
    let error = import(&ImportSource::Folder(root), &out).unwrap_err();
    assert!(matches!(&error, DatasetError::Missing { path } if path.ends_with("gone.gif")), "{error}");
}

#[test]
fn tables_keep_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("rows.jsonl");
    put(&path, "{\"a\": 1, \"b\": \"x\", \"c\": [[1.5, 2], []]}\n\n{\"b\": \"ü\", \"a\": null}\n");
    let (_, dataset) = imported(&[path], &out);
    assert_eq!(dataset.features()["c"], Feature::List(Box::new(Feature::List(Box::new(value("float64"))))));
    let lists = OwnedList::new(2, vec![1.5, 2.0], vec![2, 2, 0]).map(OwnedCell::List);
    assert_eq!(column(&dataset, "c"), [lists, None]);
    assert_eq!(column(&dataset, "a"), [Some(OwnedCell::I64(1)), None]);
    assert_eq!(column(&dataset, "b"), text(&["x", "ü"]));
    for (name, content) in [("t.csv", "a,b\n1,\"x, y\"\n2,\n"), ("t.tsv", "a\tb\n1\tx, y\n2\t\n")] {
        let path = folder.path().join(name);
        put(&path, content);
        let (_, dataset) = imported(&[path], &out);
        assert_eq!(column(&dataset, "a"), crate::support::ints([1, 2]));
        assert_eq!(column(&dataset, "b")[0], Some(OwnedCell::Utf8("x, y".into())));
    }
}

#[test]
fn a_bad_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("rows.jsonl");
    put(&path, "{\"a\": 1}\n{\"a\": \n");
    let text = refused(&[path], &out);
    assert!(text.contains("rows.jsonl:2:"), "{text}");
    let path = folder.path().join("rows.csv");
    put(&path, "a,b\n1,2\n3\n");
    let text = refused(&[path], &out);
    assert!(text.contains("line 3") || text.contains("line: 3"), "{text}");
}

/// MNIST's own byte layout.
fn idx(dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn idx_pictures_become_png_with_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let images = folder.path().join("t10k-images-idx3-ubyte.gz");
    let pixels: Vec<u8> = (0..12).map(|index| index * 20).collect();
    put(&images, gzip(&idx(&[2, 2, 3], &pixels)));
    put(&folder.path().join("t10k-labels-idx1-ubyte.gz"), gzip(&idx(&[2], &[3, 1])));
    let (_, dataset) = imported(std::slice::from_ref(&images), &out);
    assert_eq!(dataset.features()["label"], labels(&["0", "1", "2", "3"]));
    assert_eq!(column(&dataset, "label"), crate::support::ints([3, 1]));
    assert_eq!(column(&dataset, "id"), crate::support::ints([0, 1]));
    let decoded: Vec<u8> = column(&dataset, "image").into_iter().flat_map(|cell| pixels_of_png(cell, 3, 2)).collect();
    assert_eq!(decoded, pixels);
    // The same without classes, and not packed.
    let images = folder.path().join("pictures.idx3-ubyte");
    put(&images, idx(&[2, 2, 3], &pixels));
    let (_, dataset) = imported(&[images], &out);
    assert_eq!(dataset.features().len(), 2);
}

fn pixels_of_png(cell: Option<OwnedCell>, width: u32, height: u32) -> Vec<u8> {
    let Some(OwnedCell::Bytes(bytes)) = cell else { panic!("no bytes") };
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (width, height));
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    pixels
}

#[test]
fn damaged_idx_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let images = folder.path().join("train-images-idx3-ubyte");
    put(&images, idx(&[2, 2, 3], &[0; 11]));
    assert!(refused(std::slice::from_ref(&images), &out).contains("ends before its header says"));
    put(&images, idx(&[1, 2, 3], &[0; 6]));
    let other = folder.path().join("train-labels-idx1-ubyte");
    put(&other, idx(&[2], &[0, 1]));
    assert!(refused(std::slice::from_ref(&images), &out).contains("2 labels for 1 pictures"));
    put(&images, idx(&[1], &[0]));
    assert!(refused(&[images], &out).contains("3 dimensions"));
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn tar_members_of_one_name_are_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["a.tar", "b.tar.gz"].map(|name| folder.path().join(name));
    let sound = wav(4);
    put(
        &one,
        tar(&[
            ("x/000.gif", GIF),
            ("x/000.txt", b"first"),
            ("x/000.cls", b"3\n"),
            ("x/001.gif", GIF),
            ("x/001.left.png", b"p"),
        ]),
    );
    put(
        &two,
        gzip(&tar(&[("x/002.txt", b"third"), ("x/002.wav", &sound), ("x/002.json", b"{}"), ("x/002.raw", b"\xff")])),
    );
    let (_, dataset) = imported(&[one, two], &folder.path().join("out.parquet"));
    let columns: Vec<&String> = dataset.features().keys().collect();
    assert_eq!(columns, ["id", "image", "text", "label", "left", "audio", "json", "raw"]);
    assert_eq!(column(&dataset, "id"), text(&["x/000", "x/001", "x/002"]));
    assert_eq!(column(&dataset, "label"), [Some(OwnedCell::I64(3)), None, None]);
    assert_eq!(column(&dataset, "text")[2], Some(OwnedCell::Utf8("third".into())));
    assert_eq!(column(&dataset, "audio")[2], Some(OwnedCell::Bytes(sound)));
    assert_eq!(dataset.features()["left"], Feature::Image);
    assert_eq!(dataset.features()["raw"], value("binary"));
}

#[test]
fn damaged_tars_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.parquet");
    let path = folder.path().join("a.tar");
    put(&path, &tar(&[("0.gif", GIF)])[..300]);
    assert!(refused(std::slice::from_ref(&path), &out).contains("no complete tar"));
    put(&path, tar(&[("0.cls", b"cat")]));
    assert!(refused(std::slice::from_ref(&path), &out).contains("`cat` is no whole number"));
    put(&path, tar(&[("0.gif", GIF), ("0.png", GIF)]));
    assert!(refused(&[path], &out).contains("second image"));
}

#[test]
fn unknown_names_are_refused_before_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xyz");
    assert!(matches!(ImportSource::detect(std::slice::from_ref(&path)), Err(DatasetError::Missing { .. })));
    put(&path, "x");
    assert!(matches!(ImportSource::detect(&[path]), Err(DatasetError::Import { .. })));
    assert!(matches!(ImportSource::detect(&[]), Err(DatasetError::Import { .. })));
}
