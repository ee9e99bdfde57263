//! The JSON Schema in `pipelines/schema` is what the tables say. `ANYFLOW_UPDATE_SCHEMA=1 cargo test -p anyflow-plan`
//! writes it anew.

use anyflow_plan::{FileKind, schema};

use crate::bench::{folder, generators};

#[test]
fn schemas_are_up_to_date() {
    for kind in [FileKind::Pipeline, FileKind::Model, FileKind::Training, FileKind::Evaluation] {
        let path = folder().join(format!("../../pipelines/schema/{}.json", kind.name()));
        let wanted = serde_json::to_string(&schema(kind, &generators())).unwrap() + "\n";
        if std::env::var_os("ANYFLOW_UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "{} is stale: set ANYFLOW_UPDATE_SCHEMA=1 and run the tests again", kind.name());
    }
}
