//! Opens and reads every Parquet file of the folder `ANYFLOW_DATA`.

use crate::support::{leave_out, open};
use anyflow_datasets::{Feature, head, inspect, row_keys};

#[test]
fn every_file_opens_and_reads() {
    let Some(folder) = std::env::var_os("ANYFLOW_DATA") else {
        return leave_out("real-data", "ANYFLOW_DATA names no folder of Parquet files");
    };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    for file in files {
        let dataset = open(&file);
        let mut rows = 0;
        for batch in dataset.read(None, 0..dataset.rows(), 256).unwrap() {
            let batch = batch.unwrap();
            assert_eq!(row_keys(&batch, None, rows..).unwrap().len(), batch.num_rows());
            for (name, feature) in dataset.features().iter().filter(|(_, feature)| feature.cell().is_some()) {
                let cells = dataset.cells(&batch, name).unwrap();
                let present = (0..cells.len()).filter(|row| cells.get(*row).unwrap().is_some()).count();
                assert!(!feature.is_media() || present == batch.num_rows());
            }
            rows += batch.num_rows() as u64;
        }
        assert_eq!(rows, dataset.rows());
        let features: Vec<String> =
            dataset.features().iter().map(|(name, f)| format!("{name}: {}", f.describe())).collect();
        eprintln!("{} {rows} rows; {}", file.display(), features.join(", "));
        eprintln!("  {}", serde_json::to_string(&head(&dataset, 1).unwrap()).unwrap());
        eprintln!("  {}", serde_json::to_string(&inspect(&dataset).columns).unwrap());
        let other = dataset.features().values().filter(|f| matches!(f, Feature::Other(_))).count();
        assert!(other <= 1, "only fixed-length lists are not named");
    }
}

#[test]
fn images_and_sounds_of_digits_are_paired() {
    let Some(folder) = std::env::var_os("ANYFLOW_DATA").map(std::path::PathBuf::from) else {
        return leave_out("real-data", "ANYFLOW_DATA names no folder of Parquet files");
    };
    let [images, sounds] = ["mnist_train.parquet", "fsdd_train.parquet"].map(|name| folder.join(name));
    if !images.exists() || !sounds.exists() {
        return leave_out("real-data", &format!("no mnist and fsdd in {}", folder.display()));
    }
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("pairs.parquet");
    let start = std::time::Instant::now();
    let paired = anyflow_datasets::pair(&open(&images), &open(&sounds), "label", 1, 7, &out).unwrap();
    eprintln!("{paired:?} in {:.1} s, {} bytes", start.elapsed().as_secs_f64(), std::fs::metadata(&out).unwrap().len());
    assert_eq!(paired.rows, 60_000);
    eprintln!("{:?}", head(&open(&out), 2).unwrap());
}
