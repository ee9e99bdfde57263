//! idx files, the format of MNIST.

use anyflow_datasets::OwnedCell;

use crate::importing::{column, gzip, imported, put, refused};
use crate::support::labels;

/// MNIST's own byte layout.
fn idx(dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_be_bytes()));
    bytes.extend(data);
    bytes
}

#[test]
fn idx_images_become_png_with_their_classes() {
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
    assert!(refused(std::slice::from_ref(&images), &out).contains("ends earlier than its header says"));
    put(&images, idx(&[1, 2, 3], &[0; 6]));
    let other = folder.path().join("train-labels-idx1-ubyte");
    put(&other, idx(&[2], &[0, 1]));
    assert!(refused(std::slice::from_ref(&images), &out).contains("2 labels for 1 images"));
    put(&images, idx(&[1], &[0]));
    assert!(refused(&[images], &out).contains("3 dimensions"));
}
