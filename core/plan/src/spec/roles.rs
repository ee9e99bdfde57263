//! The roles of streams as written in a node, a task or a conflict.

use anyflow_config::{Given, Mapping, ValueForm};

use crate::error::Report;
use crate::plan::StreamRole;
use crate::source::SpannedString;
use crate::spec::{GuidanceSpec, guidance};
use crate::surface::{self, Fields, Reader};
use crate::yaml::{Content, Entry};

/// The roles of streams. Values are nodes in a pipeline, and streams and prompts of the data in an evaluation.
#[derive(Debug)]
pub(crate) struct RolesSpec {
    /// The key that lists the generated streams.
    pub key: &'static str,
    pub generate: Vec<SpannedString>,
    pub observe: Vec<ObservedSpec>,
    /// Stream -> its initial values.
    pub start: Vec<(SpannedString, SpannedString)>,
    pub planes: Vec<ObservedSpec>,
    /// True if the mapping has the key `planes`.
    pub can_have_planes: bool,
    /// Tokens -> weight.
    pub condition: Vec<(SpannedString, f64)>,
    pub marginalize: Vec<SpannedString>,
    pub absent: Vec<SpannedString>,
    pub given: Option<Given>,
    pub guidance: Option<GuidanceSpec>,
    /// The role of streams that no key names, if they can be sampled.
    pub others: StreamRole,
}

/// A stream with its value. With a mask it is observed in part, or a part of a plane is hidden.
#[derive(Debug)]
pub(crate) struct ObservedSpec {
    pub stream: SpannedString,
    pub from: SpannedString,
    pub mask: Option<SpannedString>,
}

/// Streams under a key.
pub(crate) type Written<'s> = [(&'static str, Vec<&'s SpannedString>); 4];

impl RolesSpec {
    /// The streams of each key. A stream that is observed in part is generated as well, and counts as generated.
    pub fn written(&self) -> Written<'_> {
        let whole = self.observe.iter().filter(|observed| observed.mask.is_none());
        [
            (self.key, self.generate.iter().collect()),
            ("observe", whole.map(|observed| &observed.stream).collect()),
            ("marginalize", self.marginalize.iter().collect()),
            ("absent", self.absent.iter().collect()),
        ]
    }

    /// The values that are observed, are planes, start a stream, or are masks; in an evaluation they are streams of the data.
    pub fn values(&self) -> impl Iterator<Item = &SpannedString> {
        let given = self.observe.iter().chain(&self.planes);
        let given = given.flat_map(|spec| [Some(&spec.from), spec.mask.as_ref()]);
        given.flatten().chain(self.start.iter().map(|(_, from)| from))
    }

    /// The references to nodes, to change them.
    pub fn references(&mut self) -> Vec<&mut SpannedString> {
        let given = self.observe.iter_mut().chain(&mut self.planes);
        let given = given.flat_map(|spec| std::iter::once(&mut spec.from).chain(&mut spec.mask));
        let starts = self.start.iter_mut().map(|(_, from)| from);
        let instead = self.guidance.iter_mut().flat_map(|guidance| &mut guidance.instead);
        let instead = instead.flat_map(|spec| [&mut spec.condition, &mut spec.by]);
        given.chain(starts).chain(self.condition.iter_mut().map(|(tokens, _)| tokens)).chain(instead).collect()
    }

    /// The streams that are observed in part.
    pub fn masked(&self) -> impl Iterator<Item = (&ObservedSpec, &SpannedString)> {
        self.observe.iter().filter_map(|observed| Some((observed, observed.mask.as_ref()?)))
    }
}

/// Reads the roles of streams; `key` lists those to generate. Keys that the mapping does not have are empty.
pub(crate) fn roles(fields: &Fields, key: &'static str, report: &mut Report) -> RolesSpec {
    let generate = fields.texts(key, report);
    RolesSpec { generate, ..other_roles(fields, key, report) }
}

/// Reads the roles of streams, except of those to generate.
pub(crate) fn other_roles(fields: &Fields, key: &'static str, report: &mut Report) -> RolesSpec {
    RolesSpec {
        key,
        generate: Vec::new(),
        observe: observed(fields, report),
        start: fields.pairs("start", report),
        planes: planes(fields, report),
        can_have_planes: fields.form(PLANES.name).is_some(),
        condition: fields.numbers("condition", report),
        marginalize: fields.texts("marginalize", report),
        absent: fields.texts("absent", report),
        given: fields.value("given", report),
        guidance: guidance(fields, report),
        others: StreamRole::Marginalize,
    }
}

/// The observed streams: a list where values have the names of streams, or a mapping.
fn observed(fields: &Fields, report: &mut Report) -> Vec<ObservedSpec> {
    let (Some(entry), Some(form)) = (fields.entry(OBSERVE.name), fields.form(OBSERVE.name)) else { return Vec::new() };
    match (form, &entry.node.content) {
        (ValueForm::List(_), _) | (ValueForm::Either(_), Content::List(_)) => {
            let itself = |stream: SpannedString| ObservedSpec { from: stream.clone(), stream, mask: None };
            fields.texts(OBSERVE.name, report).into_iter().map(itself).collect()
        }
        (ValueForm::Either(_), content) if !matches!(content, Content::Mapping(_)) => {
            form.wrong(&entry.node, &format!("`observe` of {}", fields.within), report);
            Vec::new()
        }
        _ => OBSERVE.read(fields, report),
    }
}

/// The planes. A node of a pipeline hides nothing: the node that encodes does.
fn planes(fields: &Fields, report: &mut Report) -> Vec<ObservedSpec> {
    let whole = |(stream, from)| ObservedSpec { stream, from, mask: None };
    match fields.form(PLANES.name) {
        Some(ValueForm::Names(ValueForm::String)) => fields.pairs(PLANES.name, report).into_iter().map(whole).collect(),
        _ => PLANES.read(fields, report),
    }
}

/// A key with streams, each with its value, or with a mapping of its value and its mask.
struct MaskedKey {
    name: &'static str,
    mapping: &'static Mapping,
    mask: &'static str,
}

const OBSERVE: MaskedKey = MaskedKey { name: "observe", mapping: &surface::OBSERVED, mask: "mask" };
const PLANES: MaskedKey = MaskedKey { name: "planes", mapping: &surface::PLANE, mask: "hide" };

impl MaskedKey {
    fn read(&self, fields: &Fields, report: &mut Report) -> Vec<ObservedSpec> {
        fields.names(self.name, report).iter().filter_map(|entry| self.one(entry, fields, report)).collect()
    }

    fn one(&self, entry: &Entry, fields: &Fields, report: &mut Report) -> Option<ObservedSpec> {
        let stream = entry.key.clone();
        let what = format!("`{}` in `{}` of {}", stream.value, self.name, fields.within);
        if !matches!(entry.node.content, Content::Mapping(_)) {
            let from = surface::text(&entry.node, &what, report)?;
            return Some(ObservedSpec { stream, from, mask: None });
        }
        let inner = Fields::open(&entry.node, self.mapping, what, stream.span, report)?;
        let mask = inner.text(self.mask, report);
        Some(ObservedSpec { stream, from: inner.text("from", report)?, mask })
    }
}
