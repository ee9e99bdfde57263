//! Auxiliary streams as written: `aggregate` of a stream, and `heads` of a model.

use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::source::SpannedString;
use crate::spec::check_name;
use crate::surface::{self, Fields};
use crate::yaml::Entry;

/// An auxiliary stream whose embedding is added into a stream.
#[derive(Debug)]
pub(crate) struct AggregateSpec {
    pub companion: SpannedString,
    /// All keys; `None` if one is wrong, which was reported.
    pub keys: Option<Map<String, Json>>,
}

/// An auxiliary stream that a head predicts from features.
#[derive(Debug)]
pub(crate) struct HeadSpec {
    pub companion: SpannedString,
    /// `denoiser.site`
    pub reads: Option<SpannedString>,
    /// All keys, as above.
    pub keys: Option<Map<String, Json>>,
}

/// The auxiliary streams that are added into a stream.
pub(crate) fn aggregates(stream: &Fields, report: &mut Report) -> Vec<AggregateSpec> {
    let read = |entry: &Entry, report: &mut Report| {
        let within = format!("aggregate `{}` of {}", entry.key.value, stream.within);
        let fields = Fields::open(&entry.node, &surface::AGGREGATE, within, entry.key.span, report);
        let keys = fields.and_then(|fields| fields.all(report));
        AggregateSpec { companion: entry.key.clone(), keys }
    };
    stream.names("aggregate", report).iter().map(|entry| read(entry, report)).collect()
}

/// The heads of a model.
pub(crate) fn heads(model: &Fields, report: &mut Report) -> Vec<HeadSpec> {
    let read = |entry: &Entry, report: &mut Report| {
        check_name(&entry.key, report);
        let mut spec = HeadSpec { companion: entry.key.clone(), reads: None, keys: None };
        let within = format!("head `{}`", entry.key.value);
        if let Some(fields) = Fields::open(&entry.node, &surface::HEAD, within, entry.key.span, report) {
            spec.reads = fields.text("reads", report);
            spec.keys = fields.all(report);
        }
        spec
    };
    model.names("heads", report).iter().map(|entry| read(entry, report)).collect()
}
