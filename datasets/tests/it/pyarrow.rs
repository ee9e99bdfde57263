//! pyarrow (and `datasets`, if installed) reads our files.
//!
//! `ANYFLOW_PYTHON` names an interpreter with pyarrow.

use std::process::Command;

use crate::support::{every_feature, leave_out};
use anyflow_datasets::{Expected, Folder, JobId, OutputDir};

const SCRIPT: &str = r#"
import json, sys
import pyarrow.parquet as pq
table = pq.read_table(sys.argv[1] + "/data")
schema = table.schema
features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
assert features["image"] == {"_type": "Image"}, features
assert features["audio"] == {"sampling_rate": 8000, "_type": "Audio"}, features
assert features["label"] == {"names": ["cat", "dog"], "_type": "ClassLabel"}, features
assert features["frames"]["feature"] == {"_type": "Image"}, features
assert list(features) == schema.names, (features, schema.names)
assert str(schema.field("image").type) == "struct<bytes: binary, path: string>", schema
assert str(schema.field("score").type) == "float", schema
assert str(schema.field("small").type) == "uint8", schema
rows = table.to_pylist()
assert len(rows) == 2
assert rows[0]["image"]["bytes"][:6] == b"GIF89a" and rows[0]["audio"]["bytes"][:4] == b"RIFF"
assert rows[0]["text"] == "zwölf" and rows[0]["label"] == 1 and rows[0]["score"] == 0.25
assert rows[0]["words"] == ["a", "b"] and rows[0]["frames"][0]["bytes"][:6] == b"GIF89a"
assert str(schema.field("points").type) == "list<element: list<element: float>>", schema
assert str(schema.field("triple").type) == "fixed_size_list<element: float>[3]", schema
assert rows[0]["counts"] == [3, -4] and rows[0]["points"] == [[1, 2], [], [0.25]] and rows[0]["triple"] == [0.5, 1, 1.5]
assert rows[1]["counts"] is None and rows[1]["points"] is None and rows[1]["triple"] == rows[0]["triple"]
assert rows[1]["image"] is None and rows[1]["text"] is None
meta = pq.ParquetFile(sys.argv[1] + "/data/shard-00000.parquet").metadata
assert b"huggingface" in meta.metadata, meta.metadata
assert pq.read_table(sys.argv[1] + "/failures.parquet").schema.names == ["row_key", "row", "node", "code", "text"]
try:
    import datasets
except ImportError:
    print("datasets is not installed; pyarrow alone was asked")
else:
    data = datasets.load_dataset(sys.argv[1], split="train", cache_dir=sys.argv[2])
    assert len(data) == 2, data
    assert type(data.features["image"]).__name__ == "Image", data.features
    assert type(data.features["audio"]).__name__ == "Audio", data.features
    shown = data.select_columns(["counts", "points", "triple"])
    assert shown[0] == {"counts": [3, -4], "points": [[1, 2], [], [0.25]], "triple": [0.5, 1, 1.5]}, shown[0]
    assert data.features["points"].feature.feature.dtype == "float32" and data.features["triple"].length == 3
    assert data.features["label"].names == ["cat", "dog"]
    # Sounds need torchcodec to be decoded, pictures only Pillow.
    sounds = data.cast_column("audio", datasets.Audio(decode=False)).select_columns(["audio"])
    assert sounds[0]["audio"]["bytes"][:4] == b"RIFF"
    assert data.select_columns(["image"])[0]["image"].size == (1, 1)
    print("datasets", datasets.__version__, "agrees")
"#;

#[test]
fn pyarrow_reads_our_output_with_its_features() {
    let Some(python) = std::env::var_os("ANYFLOW_PYTHON") else {
        return leave_out("pyarrow", "ANYFLOW_PYTHON names no interpreter with pyarrow");
    };
    let [folder, cache] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (batch, features) = every_feature();
    let expected = Expected { shards: 1, rows: batch.num_rows() as u64 };
    let job = JobId::default().with("test", "py");
    let output = OutputDir::open(Folder::open(folder.path()).unwrap(), &job, expected).unwrap();
    let mut shard = output.shard(0, &features).unwrap();
    shard.write(&batch).unwrap();
    shard.commit(&[]).unwrap();
    output.finish().unwrap();
    let run = Command::new(python).args(["-c", SCRIPT]).arg(folder.path()).arg(cache.path()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(run.status.success(), "{}{}", text(&run.stdout), text(&run.stderr));
    eprintln!("{}", text(&run.stdout));
}
