//! Files written by this crate, damaged files, and files from elsewhere.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyflow_weights::{CONTENT_KEY, Dtype, Listing, TensorEntry, WeightsError, open, read, read_any, verify, write};

fn entry(name: &str, dtype: Dtype, shape: &[usize]) -> TensorEntry {
    let size_bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    TensorEntry { name: name.into(), dtype, shape: shape.to_vec(), size_bytes }
}

/// A file of two tensors, with bytes derived from their names.
fn written(folder: &Path) -> PathBuf {
    let path = folder.join("a.safetensors");
    let entries = vec![entry("b", Dtype::BF16, &[3, 2]), entry("a", Dtype::F32, &[2])];
    let metadata = BTreeMap::from([("step".to_string(), "100".to_string())]);
    let bytes = |entry: &TensorEntry| Ok::<_, WeightsError>(vec![entry.name.as_bytes()[0]; entry.size_bytes]);
    write(&mut std::fs::File::create(&path).unwrap(), entries, metadata, bytes).unwrap();
    path
}

/// A file with this header and these data bytes.
fn made(folder: &Path, header: &str, data: &[u8]) -> PathBuf {
    let path = folder.join("made.safetensors");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_written_file_reads_back_here_and_in_the_reference_implementation() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let mut found = Vec::new();
    let each = |entry: &TensorEntry, bytes: &[u8]| {
        found.push((entry.clone(), bytes.to_vec()));
        Ok::<_, WeightsError>(())
    };
    let summary = read(open(&path).unwrap(), each).unwrap();
    assert!(summary.proven && summary.metadata["step"] == "100");
    let expected = [(entry("a", Dtype::F32, &[2]), vec![b'a'; 8]), (entry("b", Dtype::BF16, &[3, 2]), vec![b'b'; 12])];
    assert_eq!(found, expected);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(summary.blake3, blake3::hash(&bytes).to_hex().to_string());
    let other = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(other.tensor("b").unwrap().data(), [b'b'; 12]);
    assert!(bytes == std::fs::read(written(folder.path())).unwrap(), "equal tensors, equal files");
}

#[test]
fn any_changed_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [0, 4] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            // If the key of the hash itself changes, the file counts as one from elsewhere.
            assert!(verify(&path).is_err() || !verify(&path).unwrap().proven, "byte {at}, bit {bit}");
        }
    }
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(verify(&path), Err(WeightsError::Foreign(_))), "{length} bytes");
    }
}

#[test]
fn changed_dtype_metadata_or_shape_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let replaced = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        let mut bytes = whole.clone();
        bytes.splice(at..at + from.len(), to.bytes());
        std::fs::write(&path, bytes).unwrap();
        verify(&path).unwrap_err()
    };
    for (from, to) in [("\"BF16\"", "\"F16\" "), ("\"100\"", "\"900\""), ("[3,2]", "[2,3]")] {
        let error = replaced(from, to);
        assert!(matches!(error, WeightsError::Damaged { .. }), "{from} -> {to}: {error}");
        assert!(error.to_string().contains(CONTENT_KEY), "{error}");
    }
}

#[test]
fn duplicate_names_gaps_and_overlaps_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = |name: &str, from: usize, to: usize| {
        format!(r#""{name}":{{"dtype":"F32","shape":[{}],"data_offsets":[{from},{to}]}}"#, (to - from) / 4)
    };
    let first = tensor("w", 0, 4);
    let second = tensor("v", 4, 8);
    let cases = [
        (format!("{{{first},{}}}", tensor("w", 4, 8)), "`w` occurs twice"),
        (format!("{{{first},{first}}}"), "`w` occurs twice"),
        (format!(r#"{{"__metadata__":{{}},{first},"__metadata__":{{}},{second}}}"#), "`__metadata__` occurs twice"),
        (format!(r#"{{"__metadata__":{{"k":"1","k":"2"}},{first},{second}}}"#), "`k` occurs twice"),
        (format!("{{{first},{}}}", tensor("v", 0, 8)), "v"),
        (format!("{{{first}}}"), "8"),
        ("{}".to_string(), "8"),
        ("[]".to_string(), "header"),
    ];
    for (header, wanted) in cases {
        let error = verify(&made(folder.path(), &header, &[0; 8])).unwrap_err();
        assert!(matches!(&error, WeightsError::Foreign(_)) && error.to_string().contains(wanted), "{header}: {error}");
    }
    let from_elsewhere = made(folder.path(), &format!("{{{first},{second}}}"), &[0; 8]);
    assert!(!verify(&from_elsewhere).unwrap().proven);
}

#[test]
fn invalid_lengths_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.safetensors");
    for length in [u64::MAX, 1 << 62, 99_999_999, 9] {
        std::fs::write(&path, [&length.to_le_bytes()[..], b"{}"].concat()).unwrap();
        assert!(matches!(verify(&path), Err(WeightsError::Foreign(_))), "{length}");
    }
    let huge = r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}}"#;
    assert!(verify(&made(folder.path(), huge, &[0; 8])).is_err());
    let nested = "[".repeat(200_000);
    assert!(verify(&made(folder.path(), &nested, &[])).is_err());
    assert!(verify(folder.path()).is_err(), "a folder is not a file");
}

/// A file compressed with Zstandard: the frame has the length of its content and a checksum.
fn compressed(folder: &Path, content: &[u8]) -> PathBuf {
    let path = folder.join("a.safetensors.zst");
    let mut encoder = zstd::Encoder::new(std::fs::File::create(&path).unwrap(), 19).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap();
    path
}

/// What a file holds.
#[derive(Debug)]
struct Held {
    tensors: Vec<(TensorEntry, Vec<u8>)>,
    hash: String,
}

fn all(path: &Path) -> Result<Held, WeightsError> {
    let mut tensors = Vec::new();
    let summary = read_any(path, |entry: &TensorEntry, bytes: &[u8]| {
        tensors.push((entry.clone(), bytes.to_vec()));
        Ok::<_, WeightsError>(())
    })?;
    assert!(summary.proven, "the recorded hash is compared");
    Ok(Held { tensors, hash: summary.blake3 })
}

#[test]
fn a_compressed_file_holds_the_same_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let plain = written(folder.path());
    let path = compressed(folder.path(), &std::fs::read(&plain).unwrap());
    let Held { tensors, hash } = all(&path).unwrap();
    assert_eq!(tensors, all(&plain).unwrap().tensors);
    assert_eq!(hash, blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string());
    assert_eq!(Listing::of(&path, None).unwrap().tensors, Listing::of(&plain, None).unwrap().tensors);
}

#[test]
fn no_changed_byte_of_a_compressed_file_changes_a_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = compressed(folder.path(), &std::fs::read(written(folder.path())).unwrap());
    let whole = std::fs::read(&path).unwrap();
    let expected = all(&path).unwrap().tensors;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        // The reserved bit of the descriptor; 0x10 would be its unused bit.
        bytes[at] ^= 0x08;
        std::fs::write(&path, &bytes).unwrap();
        // The code of a literal has bits that stand for nothing.
        assert!(all(&path).map_or(true, |held| held.tensors == expected), "byte {at}");
    }
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(all(&path).is_err(), "cut at {length}");
    }
}

#[test]
fn compressed_files_that_claim_too_much_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = compressed(folder.path(), &vec![0; 1 << 20]);
    assert!(all(&zeros).unwrap_err().to_string().contains("cannot hold 1048576 bytes of weights"));
    let stream = zstd::encode_all(std::fs::read(written(folder.path())).unwrap().as_slice(), 3).unwrap();
    std::fs::write(&zeros, &stream).unwrap();
    assert!(all(&zeros).unwrap_err().to_string().contains("does not say how long its content is"));
    let path = compressed(folder.path(), &std::fs::read(written(folder.path())).unwrap());
    let twice = [std::fs::read(&path).unwrap(), b"more".to_vec()].concat();
    std::fs::write(&path, twice).unwrap();
    assert!(all(&path).unwrap_err().to_string().contains("something follows its frame"));
}
