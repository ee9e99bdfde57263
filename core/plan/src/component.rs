//! Codecs and modules of the catalog, found by `plugin/component`, with the parameters that were written.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::catalog::Catalog;
use crate::descriptor::{
    CodecDescriptor, Interface, ModuleDescriptor, PluginDescriptor, PortDescriptor, Role, RoleDescriptor,
};
use crate::error::Report;
use crate::problem::{Hint, Problem, problems};
use crate::property;
use crate::source::{Span, SpannedString};
use crate::spec::Use;

problems! {
    /// What can be wrong with a component.
    pub(crate) enum ComponentProblem {
        /// A component is not written as `plugin/component`.
        /// Example: `codec: png`.
        /// Cure: Write plugin and component, for example `codec: PLUGIN/png`. `anyflow plugin list` shows both.
        #[error("`{text}` is not of the form `plugin/component`{hint}")]
        NotAComponent { text: String, hint: Hint },
        /// A codec stands where a module is needed, or the other way round.
        /// Example: `module: PLUGIN/png`, where `png` is a codec.
        /// Cure: Name a component of the other kind. `anyflow plugin info PLUGIN` lists both.
        #[error("`{component}` is a {found}, but a {expected} is needed here")]
        WrongComponent { component: String, found: String, expected: String },
        /// A module lacks a role that is needed here.
        /// Example: `decode: PLUGIN/embedder`, which can only embed.
        /// Cure: Use a module with this role. `anyflow plugin info PLUGIN` lists the roles.
        #[error("module `{component}` cannot {role}; it can {can}")]
        NoRole { component: String, role: String, can: String },
        /// A module is called by an interface that this release does not know.
        /// Example: A module of a plugin that was built with a later SDK.
        /// Cure: Use a later release of Anyflow, or an earlier one of the plugin.
        #[error("module `{component}` uses interface `{interface}`, which this release does not know; use a later one")]
        UnknownInterface { component: String, interface: String },
        /// A stage trains a module whose interface is for inference only.
        /// Example: `train: x` where the module of stream `x` is an array module.
        /// Cure: Train another part, or use a module with the interface that the message names.
        #[error(
            "module `{component}` cannot be trained: its interface `{interface}` is for inference only; use a module with `{wanted}`"
        )]
        InferenceOnly { component: String, interface: String, wanted: String },
    }
}

/// The two sorts of components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Codec,
    Module,
}

impl Sort {
    pub fn name(self) -> &'static str {
        match self {
            Sort::Codec => "codec",
            Sort::Module => "module",
        }
    }
}

/// A component as used at one position.
#[derive(Clone, Debug)]
pub(crate) struct Placed<'a> {
    pub sort: Sort,
    /// As written.
    pub component: SpannedString,
    pub plugin: String,
    pub id: String,
    pub library: String,
    /// Parameter -> its JSON Schema.
    pub schema: &'a IndexMap<String, Json>,
    /// Written parameters, with their positions.
    pub written: IndexMap<String, (Json, Span)>,
    /// A parameter was wrong, so values inferred from it are unknown.
    pub broken: bool,
}

/// A component as used at one position, with its descriptor.
pub(crate) struct Found<'a, D> {
    pub placed: Placed<'a>,
    pub descriptor: &'a D,
}

impl Placed<'_> {
    /// The name in messages: codec `plugin/component`.
    pub fn label(&self) -> String {
        format!("{} `{}`", self.sort.name(), self.component.value)
    }
}

/// Finds a codec.
pub(crate) fn codec<'a>(used: &Use, catalog: &'a Catalog, report: &mut Report) -> Option<Found<'a, CodecDescriptor>> {
    let (plugin, library, id) = find(&used.component, Sort::Codec, catalog, report)?;
    let descriptor = plugin.codecs.iter().find(|codec| codec.id == id)?;
    let placed = place(used, Sort::Codec, plugin, library, id, &descriptor.parameters, report);
    Some(Found { placed, descriptor })
}

/// Finds a module.
pub(crate) fn module<'a>(used: &Use, catalog: &'a Catalog, report: &mut Report) -> Option<Found<'a, ModuleDescriptor>> {
    let (plugin, library, id) = find(&used.component, Sort::Module, catalog, report)?;
    let descriptor = plugin.modules.iter().find(|module| module.id == id)?;
    if let Interface::Other(interface) = &descriptor.interface {
        let component = used.component.value.clone();
        let interface = interface.clone();
        report.error(used.component.span, ComponentProblem::UnknownInterface { component, interface });
        return None;
    }
    let placed = place(used, Sort::Module, plugin, library, id, &descriptor.parameters, report);
    Some(Found { placed, descriptor })
}

/// The ports of a role, if the module has it.
pub(crate) fn role(module: &ModuleDescriptor, role: Role) -> Option<&RoleDescriptor> {
    module.roles.iter().find(|descriptor| descriptor.role == role)
}

/// The ports of a required role.
pub(crate) fn need_role<'a>(
    module: &'a ModuleDescriptor,
    wanted: Role,
    component: &SpannedString,
    at: Span,
    report: &mut Report,
) -> Option<(&'a PortDescriptor, &'a PortDescriptor)> {
    if let Some(found) = role(module, wanted) {
        return Some((&found.input, &found.output));
    }
    let can: Vec<&str> = module.roles.iter().map(|descriptor| word(descriptor.role)).collect();
    let problem =
        ComponentProblem::NoRole { component: component.value.clone(), role: word(wanted).into(), can: can.join(", ") };
    report.error(at, problem);
    None
}

/// The word for a role.
pub(crate) fn word(role: Role) -> &'static str {
    match role {
        Role::Encode => "encode",
        Role::Decode => "decode",
        Role::Embed => "embed",
        Role::Align => "align",
        Role::Score => "score",
        Role::Features => "extract features",
        Role::Perceptual => "perceive",
        Role::Pool => "pool",
    }
}

/// Refuses a module that the host cannot train.
pub(crate) fn need_gradients(
    module: &ModuleDescriptor,
    component: &SpannedString,
    at: Span,
    report: &mut Report,
) -> Option<()> {
    if module.interface == Interface::Torch {
        return Some(());
    }
    let interface = module.interface.id().to_string();
    let wanted = Interface::Torch.id().to_string();
    report.error(at, ComponentProblem::InferenceOnly { component: component.value.clone(), interface, wanted });
    None
}

/// Refuses a module of another modality than its codec.
pub(crate) fn same_modality(codec: &Found<CodecDescriptor>, module: &Found<ModuleDescriptor>, report: &mut Report) {
    if codec.descriptor.modality != module.descriptor.modality {
        let one = format!("{} is for {}", codec.placed.label(), codec.descriptor.modality);
        let other = format!("{} for {}", module.placed.label(), module.descriptor.modality);
        let problem = Problem::Mismatch { what: "modalities", one, other };
        report.error_with(module.placed.component.span, problem, codec.placed.component.span, "the codec");
    }
}

/// True if the catalog has a codec with this name.
pub(crate) fn is_codec(component: &str, catalog: &Catalog) -> bool {
    let Some((plugin, id)) = component.split_once('/') else { return false };
    catalog.plugins.get(plugin).is_some_and(|(plugin, _)| ids(plugin, Sort::Codec).any(|known| known == id))
}

fn ids(plugin: &PluginDescriptor, sort: Sort) -> Box<dyn Iterator<Item = &str> + '_> {
    match sort {
        Sort::Codec => Box::new(plugin.codecs.iter().map(|codec| codec.id.as_str())),
        Sort::Module => Box::new(plugin.modules.iter().map(|module| module.id.as_str())),
    }
}

type Location<'a, 'u> = (&'a PluginDescriptor, &'a str, &'u str);

fn find<'a, 'u>(
    component: &'u SpannedString,
    sort: Sort,
    catalog: &'a Catalog,
    report: &mut Report,
) -> Option<Location<'a, 'u>> {
    let Some((name, id)) = component.value.split_once('/') else {
        let hint = all_of(sort, &component.value, catalog);
        report.error(component.span, ComponentProblem::NotAComponent { text: component.value.clone(), hint });
        return None;
    };
    let Some((plugin, library)) = catalog.plugins.get(name) else {
        let hint = Hint::among(name, catalog.plugins.keys().map(String::as_str));
        report.error(component.span, Problem::UnknownName { what: "plugin".into(), name: name.into(), hint });
        return None;
    };
    if !ids(plugin, sort).any(|known| known == id) {
        missing(plugin, id, sort, component, report);
        return None;
    }
    Some((plugin, library, id))
}

/// Reports a component that its plugin does not have, or has as the other sort.
fn missing(plugin: &PluginDescriptor, id: &str, sort: Sort, component: &SpannedString, report: &mut Report) {
    let other = if sort == Sort::Codec { Sort::Module } else { Sort::Codec };
    if ids(plugin, other).any(|known| known == id) {
        let found = other.name().into();
        let expected = sort.name().into();
        let problem = ComponentProblem::WrongComponent { component: component.value.clone(), found, expected };
        return report.error(component.span, problem);
    }
    let owner = format!("plugin `{}`", plugin.plugin);
    let what = sort.name().into();
    let hint = Hint::among(id, ids(plugin, sort));
    report.error(component.span, Problem::NotThere { owner, what, name: id.into(), hint });
}

/// All components of a sort, with a suggestion from the plugin with this name.
fn all_of(sort: Sort, name: &str, catalog: &Catalog) -> Hint {
    let known: Vec<String> = catalog
        .plugins
        .iter()
        .flat_map(|(plugin, (descriptor, _))| ids(descriptor, sort).map(move |id| format!("{plugin}/{id}")))
        .collect();
    let suggestion = known.iter().find(|known| known.starts_with(&format!("{name}/"))).cloned();
    Hint { suggestion, known }
}

fn place<'a>(
    used: &Use,
    sort: Sort,
    plugin: &PluginDescriptor,
    library: &str,
    id: &str,
    schema: &'a IndexMap<String, Json>,
    report: &mut Report,
) -> Placed<'a> {
    let label = format!("{} `{}`", sort.name(), used.component.value);
    let owner = property::Owner { label, own: schema, others: Vec::new() };
    let mut written = IndexMap::new();
    let mut broken = false;
    for entry in &used.parameters {
        match owner.read(entry, report) {
            Some(value) => {
                let span = Span { end: entry.node.span.end.max(entry.key.span.end), ..entry.key.span };
                written.insert(entry.key.value.clone(), (value, span));
            }
            None => broken = true,
        }
    }
    let plugin = plugin.plugin.clone();
    let library = library.to_string();
    let id = id.to_string();
    Placed { sort, component: used.component.clone(), plugin, id, library, schema, written, broken }
}
