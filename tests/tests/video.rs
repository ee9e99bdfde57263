//! Videos in MP4 files: a column is encoded, decoded and written as GIF.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_tests::{anyflow, write_columns};
use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/video").join(name)
}

#[test]
fn mp4_columns_become_gif_and_invalid_videos_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["good-baseline.mp4", "cut.mp4", "good-b-frames.mp4", "other-codec.mp4", "good-fragments.mp4"];
    let films = names.iter().map(|name| Some(OwnedCell::Bytes(std::fs::read(corpus(name)).unwrap())));
    let data = folder.path().join("data");
    write_columns(&data, vec![("video", Feature::Video, films.collect())]);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/codi/model.yaml").canonicalize().unwrap();
    let pipeline = folder.path().join("there-and-back.yaml");
    let yaml = format!(
        "anyflow: 1\nname: there-and-back\nmodel: {}\ninputs: {{film: {{modality: video, column: video}}}}\nnodes:\n  \
         seen: {{encode: video/autoencoder, from: film}}\n  again: {{decode: video/autoencoder, from: seen}}\n\
         outputs: {{video: again}}\n",
        model.display()
    );
    std::fs::write(&pipeline, yaml).unwrap();
    let out = folder.path().join("out");
    let arguments = ["run".as_ref(), pipeline.as_os_str(), "--input".as_ref(), data.as_os_str()];
    let more = ["--output".as_ref(), out.as_os_str(), "--json".as_ref(), "--threads".as_ref(), "1".as_ref()];
    let result = anyflow(arguments.into_iter().chain(more)).ok().json();
    assert_eq!((result["rows"].as_u64(), result["failed"].as_u64()), (Some(3), Some(2)), "{result}");

    let made = Dataset::open(std::slice::from_ref(&out)).unwrap();
    assert_eq!(*made.column("video").unwrap(), Feature::Video);
    let batch = made.read(None, 0..3, 8).unwrap().next().unwrap().unwrap();
    let cells = made.cells(&batch, "video").unwrap();
    for row in 0..3 {
        let OwnedCell::Bytes(gif) = cells.get(row).unwrap().unwrap().into_owned() else { panic!("no file") };
        let frames = GifDecoder::new(std::io::Cursor::new(gif)).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 8);
    }
    let failures = Dataset::open(&[out.join("failures.parquet")]).unwrap();
    let batch = failures.read(None, 0..2, 8).unwrap().next().unwrap().unwrap();
    let texts = failures.cells(&batch, "text").unwrap();
    for (row, wanted) in ["breaks off: 9 of 12 frames are there", "only H.264"].into_iter().enumerate() {
        let OwnedCell::Utf8(text) = texts.get(row).unwrap().unwrap().into_owned() else { panic!("no text") };
        assert!(text.contains(wanted), "{text}");
    }
}

/// Runs the test kit on the file codecs with MP4 samples.
#[test]
fn the_test_kit_accepts_mp4_samples() {
    let library = anyflow_tests::library("video").display().to_string();
    let sample = |codec: &str, name: &str| format!("{codec}={}", corpus(name).display());
    let gray = sample("gray", "good-b-frames.mp4");
    let rgb = sample("rgb", "good-fragments.mp4");
    let result = anyflow(["plugin", "check", &library, "--json", "--sample", &gray, "--sample", &rgb]).ok().json();
    let failed = result["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "failed");
    assert_eq!(failed.count(), 0, "{result}");
}
