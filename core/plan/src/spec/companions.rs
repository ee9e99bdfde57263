//! Auxiliary streams as written: `aggregate` of a stream, and `heads` of a model.

use anyflow_config::{Aggregation, Head, Mapped};

use crate::error::Report;
use crate::source::SpannedString;
use crate::spec::check_name;
use crate::surface::Fields;
use crate::yaml::Entry;

/// An auxiliary stream whose embedding is added into a stream.
#[derive(Debug)]
pub(crate) struct AggregateSpec {
    pub companion: SpannedString,
    /// `None` if a key is wrong, which was reported.
    pub aggregation: Option<Aggregation>,
}

/// An auxiliary stream that a head predicts from features.
#[derive(Debug)]
pub(crate) struct HeadSpec {
    pub companion: SpannedString,
    /// `denoiser.site`
    pub reads: Option<SpannedString>,
    /// `None` if a key is wrong, as above.
    pub head: Option<Head>,
}

/// The auxiliary streams that are added into a stream.
pub(crate) fn aggregates(stream: &Fields, report: &mut Report) -> Vec<AggregateSpec> {
    let read = |entry: &Entry, report: &mut Report| {
        let within = format!("aggregate `{}` of {}", entry.key.value, stream.within);
        let fields = Fields::open(&entry.node, Aggregation::MAPPING, within, entry.key.span, report);
        let aggregation = fields.and_then(|fields| fields.part(report));
        AggregateSpec { companion: entry.key.clone(), aggregation }
    };
    stream.names("aggregate", report).iter().map(|entry| read(entry, report)).collect()
}

/// The heads of a model.
pub(crate) fn heads(model: &Fields, report: &mut Report) -> Vec<HeadSpec> {
    let read = |entry: &Entry, report: &mut Report| {
        check_name(&entry.key, report);
        let mut spec = HeadSpec { companion: entry.key.clone(), reads: None, head: None };
        let within = format!("head `{}`", entry.key.value);
        if let Some(fields) = Fields::open(&entry.node, Head::MAPPING, within, entry.key.span, report) {
            spec.reads = fields.text("reads", report);
            spec.head = fields.part(report);
        }
        spec
    };
    model.names("heads", report).iter().map(|entry| read(entry, report)).collect()
}
