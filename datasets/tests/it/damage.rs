//! Damaged bytes cause an error or other values, never a panic, because data is untrusted.

use crate::support::{every_feature, write};
use anyflow_datasets::{Dataset, Media};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_a_damaged_file_does_not_panic(
        changes in proptest::collection::vec((0.0f64..1.0, any::<u8>()), 1..6),
        near_the_end in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.parquet");
        let (batch, features) = every_feature();
        write(&path, &batch, &features);
        let mut bytes = std::fs::read(&path).unwrap();
        let start = if near_the_end { bytes.len() * 3 / 4 } else { 0 };
        for (place, byte) in changes {
            let index = start + ((bytes.len() - start) as f64 * place) as usize;
            bytes[index] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(dataset) = Dataset::open(&[path]) {
            let _ = anyflow_datasets::inspect(&dataset);
            let _ = anyflow_datasets::head(&dataset, 2);
            dataset.read(None, 0..dataset.rows(), 10).unwrap().take(100).for_each(drop);
            if let Ok(mut taken) = dataset.take(None, &[0], 1) {
                let _ = taken.next();
            }
        }
    }

    #[test]
    fn recognizing_media_does_not_panic(kind in 0usize..8, rest in proptest::collection::vec(any::<u8>(), 0..80)) {
        let heads: [&[u8]; 8] =
            [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF....WAVE", b"fLaC", b"RIFF....WEBP", b""];
        let _ = Media::from_bytes(&[heads[kind], &rest].concat());
    }
}
