use std::io::{Cursor, Write};

use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

/// A tensor to save: name, storage class of PyTorch, sizes, strides, little-endian bytes.
struct Saved<'a>(&'a str, &'a str, &'a [i32], &'a [i32], &'a [u8]);

const W: Saved = Saved("layer.weight", "FloatStorage", &[2, 1], &[1, 1], &[0, 0, 128, 63, 0, 0, 0, 192]);
const B: Saved = Saved("layer.bias", "HalfStorage", &[2], &[1], &[0, 60, 0, 64]);

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

fn integers(pickle: &mut Vec<u8>, numbers: &[i32]) {
    pickle.push(b'(');
    for number in numbers {
        pickle.push(b'J');
        pickle.extend(number.to_le_bytes());
    }
    pickle.push(b't');
}

/// What `torch.save` pickles for an `OrderedDict` of tensors.
fn state_dict(tensors: &[Saved]) -> Vec<u8> {
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (key, Saved(name, class, sizes, strides, bytes)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{class}\n").bytes());
        text(&mut pickle, &key.to_string());
        text(&mut pickle, "cpu");
        let width = if *class == "HalfStorage" { 2 } else { 4 };
        pickle.push(b'J');
        pickle.extend((bytes.len() as i32 / width).to_le_bytes());
        pickle.extend(b"tQK\x00");
        integers(&mut pickle, sizes);
        integers(&mut pickle, strides);
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    pickle
}

fn zipped(pickle: &[u8], tensors: &[Saved]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default();
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(format!("model/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("data.pkl".into(), pickle);
    add("byteorder".into(), b"little");
    for (key, saved) in tensors.iter().enumerate() {
        add(format!("data/{key}"), saved.4);
    }
    zip.finish().unwrap().into_inner()
}

/// Tensors with their bytes, in the order in which they are read.
type Found = Vec<(TensorEntry, Vec<u8>)>;

fn read_bytes(bytes: &[u8]) -> Result<(Found, Summary)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let mut tensors = Vec::new();
    let summary = crate::read_any(file.path(), |entry, bytes| -> Result<()> {
        tensors.push((entry.clone(), bytes.to_vec()));
        Ok(())
    })?;
    Ok((tensors, summary))
}

#[test]
fn tensors_come_back_sorted_with_their_bytes() {
    let bytes = zipped(&state_dict(&[W, B]), &[W, B]);
    let (tensors, summary) = read_bytes(&bytes).unwrap();
    let [(bias, bias_bytes), (weight, weight_bytes)] = &tensors[..] else { panic!("{tensors:?}") };
    assert_eq!((bias.name.as_str(), bias.dtype, bias.shape.as_slice()), ("layer.bias", Dtype::F16, &[2][..]));
    assert_eq!(
        (weight.name.as_str(), weight.dtype, weight.shape.as_slice()),
        ("layer.weight", Dtype::F32, &[2, 1][..])
    );
    assert_eq!((bias_bytes.as_slice(), weight_bytes.as_slice()), (B.4, W.4));
    assert_eq!(summary.blake3, blake3::hash(&bytes).to_hex().to_string());
    assert!(!summary.proven);
}

#[test]
fn a_transposed_view_is_read_in_the_order_of_its_axes() {
    let numbers: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = Saved("t", "FloatStorage", &[3, 2], &[1, 3], &numbers);
    let (tensors, _) = read_bytes(&zipped(&state_dict(&[view]), &[Saved("t", "", &[], &[], &numbers)])).unwrap();
    let found: Vec<f32> = tensors[0].1.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
    assert_eq!(found, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
}

#[test]
fn code_in_a_pickle_is_refused_and_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut pickle = b"\x80\x02cos\nsystem\n(".to_vec();
    text(&mut pickle, &format!("touch {}", trace.display()));
    pickle.extend(b"tR.");
    for bytes in [zipped(&pickle, &[]), pickle] {
        let error = read_bytes(&bytes).unwrap_err();
        assert!(matches!(error, WeightsError::Pickle(_)), "{error}");
    }
    assert!(!trace.exists());
}

#[test]
fn damaged_files_are_refused() {
    let good = zipped(&state_dict(&[W, B]), &[W, B]);
    let short = zipped(&state_dict(&[W]), &[Saved("", "", &[], &[], &W.4[..4])]);
    let missing = zipped(&state_dict(&[W, B]), &[W]);
    let huge = Saved("w", "FloatStorage", &[i32::MAX, i32::MAX], &[0, 0], W.4);
    let huge = zipped(&state_dict(&[huge]), &[W]);
    for (case, bytes) in [("short", &short), ("missing", &missing), ("huge", &huge)] {
        let error = read_bytes(bytes).unwrap_err();
        assert!(matches!(error, WeightsError::Pickle(_)), "{case}: {error}");
    }
    for length in (0..good.len()).step_by(7) {
        assert!(read_bytes(&good[..length]).is_err(), "{length} of {} bytes", good.len());
    }
}
