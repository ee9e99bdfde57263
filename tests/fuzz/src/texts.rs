//! Our own forms: YAML files, descriptors, the records of an output folder, and the engine's events.

use std::sync::LazyLock;

use anyflow_datasets::{Commit, Manifest};
use anyflow_plan::descriptor::PluginDescriptor;
use anyflow_plan::event::Event;
use anyflow_plan::frame::{LONGEST_EVENT, FrameReader};
use anyflow_plan::order::Order;
use anyflow_plan::{
    Catalog, FileKind, Override, Source, compile_eval, compile_model, compile_run, compile_train, kind_of,
};

/// The model of the planner's tests, for files that name one.
const MODEL: &str = include_str!("../../../core/plan/tests/files/model.yaml");

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let mut catalog = Catalog::default();
    for (name, text) in [
        ("audio", include_str!("../../../core/plan/tests/descriptors/audio.json")),
        ("image", include_str!("../../../core/plan/tests/descriptors/image.json")),
        ("label", include_str!("../../../core/plan/tests/descriptors/label.json")),
        ("text", include_str!("../../../core/plan/tests/descriptors/text.json")),
    ] {
        let descriptor: PluginDescriptor = serde_json::from_str(text).expect("a descriptor of the tests");
        catalog.plugins.insert(name.into(), (descriptor, format!("lib{name}.so")));
    }
    catalog
});

/// A file of any kind becomes a plan, or it is refused with its errors.
///
/// # Panics
/// It is refused without an error.
pub fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source::new("file.yaml", text);
    let model = Source::new("model.yaml", MODEL);
    let kind = match kind_of(&source) {
        Ok(kind) => kind,
        Err(errors) => return assert!(!errors.to_string().is_empty()),
    };
    let none: [Override; 0] = [];
    let refused = match kind {
        FileKind::Model => compile_model(&source, &CATALOG).err(),
        FileKind::Pipeline => compile_run(&source, &model, &CATALOG, &none).err(),
        FileKind::Training => compile_train(&source, &model, &CATALOG, &none, None).err(),
        FileKind::Evaluation => compile_eval(&source, &[&model], &CATALOG, &none, None).err(),
    };
    assert!(refused.is_none_or(|errors| !errors.to_string().is_empty()));
}

/// A library's descriptor is read, or the library is refused.
///
/// # Panics
/// It is refused without a word.
pub fn descriptor(bytes: &[u8]) {
    match anyflow_abi::read::descriptor(bytes) {
        Ok(text) => drop(serde_json::from_str::<PluginDescriptor>(text)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A record of an output folder is read, or refused.
///
/// # Panics
/// It does not survive being written and read again.
pub fn record(bytes: &[u8]) {
    again::<Commit>(bytes);
    again::<Manifest>(bytes);
    again::<Order>(bytes);
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<T>(bytes) {
        let text = serde_json::to_vec(&record).expect("a record that was read");
        assert_eq!(serde_json::from_slice::<T>(&text).expect("what we wrote"), record);
    }
}

/// A stream of events is read to its end, or to its first error.
///
/// # Panics
/// The error does not say what is wrong.
pub fn frames(bytes: &[u8]) {
    let mut events = FrameReader::new(bytes, LONGEST_EVENT);
    let error = loop {
        match events.read::<Event>() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => break error,
        }
    };
    assert!(!error.to_string().is_empty());
}
