//! MNIST's idx format: a big-endian header and raw bytes.
//!
//! Header: two zero bytes, the element type (8 = u8), the number of dimensions, then each dimension as u32.

use std::io::Read;
use std::path::Path;

use super::{Imported, open, refusal};
use crate::cell::OwnedCell;
use crate::encode::gray_png;
use crate::error::{Result, io_error};
use crate::feature::{Feature, Features};
use crate::rows::{Rows, Value};

const U8: u8 = 8;

pub(super) fn import(images: &Path, labels: Option<&Path>, out: &Path) -> Result<Imported> {
    let mut image_file = Idx::open(images, 3)?;
    let count = image_file.dimensions[0];
    let height = image_file.dimensions[1];
    let width = image_file.dimensions[2];
    let classes = labels.map(|labels| class_count(labels, count)).transpose()?;
    let mut label_file = labels.map(|labels| Idx::open(labels, 1)).transpose()?;
    let mut rows = Rows::create(out, features(classes))?;
    let mut pixels = vec![0; height as usize * width as usize];
    for index in 0..count {
        image_file.read(&mut pixels)?;
        let bytes = gray_png(width, height, &pixels)?;
        let mut row =
            vec![Value::Cell(OwnedCell::I64(index.into())), Value::File { bytes, name: format!("{index}.png") }];
        if let Some(file) = &mut label_file {
            let mut label = [0];
            file.read(&mut label)?;
            row.push(Value::Cell(OwnedCell::I64(label[0].into())));
        }
        rows.push(row)?;
    }
    let (rows, features) = rows.finish()?;
    Ok(Imported { rows, features, left_out: Vec::new(), notes: Vec::new(), is_damaged: false })
}

fn features(classes: Option<usize>) -> Features {
    let mut features = Features::default();
    features.0.insert("id".into(), Feature::Value("int64".into()));
    features.0.insert("image".into(), Feature::Image);
    if let Some(classes) = classes {
        let names = (0..classes).map(|class| class.to_string()).collect();
        features.0.insert("label".into(), Feature::ClassLabel { names });
    }
    features
}

/// The number of classes, from 0 to the largest label. Reads the whole file.
fn class_count(labels: &Path, images: u32) -> Result<usize> {
    let mut file = Idx::open(labels, 1)?;
    let found = file.dimensions[0];
    if found != images {
        return Err(refusal(labels, format!("has {found} labels for {images} images; name the matching file")));
    }
    let mut largest = None;
    for _ in 0..found {
        let mut label = [0];
        file.read(&mut label)?;
        largest = largest.max(Some(label[0]));
    }
    Ok(largest.map_or(0, |label| usize::from(label) + 1))
}

/// An idx file after its header.
struct Idx<'a> {
    path: &'a Path,
    reader: Box<dyn Read>,
    dimensions: Vec<u32>,
}

impl<'a> Idx<'a> {
    fn open(path: &'a Path, rank: u8) -> Result<Idx<'a>> {
        let mut file = Idx { path, reader: open(path)?, dimensions: Vec::new() };
        let mut magic = [0; 4];
        file.read(&mut magic)?;
        if magic != [0, 0, U8, rank] {
            let reason = format!(
                "is not an idx file of bytes with {rank} dimensions (its first bytes are {magic:?}); name another"
            );
            return Err(refusal(path, reason));
        }
        for _ in 0..rank {
            let mut dimension = [0; 4];
            file.read(&mut dimension)?;
            file.dimensions.push(u32::from_be_bytes(dimension));
        }
        let pixels: u64 = file.dimensions.iter().skip(1).map(|d| u64::from(*d)).product();
        if rank > 1 && !(1..=1 << 26).contains(&pixels) {
            return Err(refusal(path, format!("claims images of {pixels} pixels; the header is damaged")));
        }
        Ok(file)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.reader.read_exact(buffer).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                refusal(self.path, "ends earlier than its header says; fetch it again")
            }
            _ => io_error(self.path, "read")(error),
        })
    }
}
