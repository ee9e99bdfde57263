//! All sections of the reference, from the tables of the surface.

use anyflow_config::{Family, Key, Mapping};
use serde_json::Value as Json;

use crate::descriptor::{GeneratorDescriptor, Generators};
use crate::reference::value::{describe, described, nested};
use crate::reference::{Examples, KeyEntry, Section};
use crate::surface::{EVALUATION, FAMILIES, GENERATED, MODEL, PIPELINE, TRAINING};

/// The mappings in the order of their use, then the kinds by family.
pub(super) fn sections(examples: &Examples, generators: &Generators) -> Vec<Section> {
    let mut sections = Sections { examples, generators, list: Vec::new() };
    for root in [&PIPELINE, &MODEL, &TRAINING, &EVALUATION] {
        sections.mapping(root);
    }
    for family in FAMILIES {
        sections.family(family);
    }
    sections.list
}

struct Sections<'e> {
    examples: &'e Examples,
    generators: &'e Generators,
    list: Vec<Section>,
}

impl Sections<'_> {
    fn mapping(&mut self, mapping: &Mapping) {
        if !self.list.iter().any(|section| section.name == mapping.name) {
            self.add(mapping.name.to_string(), "", mapping.keys);
            if std::ptr::eq(mapping, &GENERATED) {
                for (name, generator) in self.generators {
                    self.generator(name, generator);
                }
            }
        }
    }

    fn family(&mut self, family: &Family) {
        if !family.shared.is_empty() {
            self.add(family.path.to_string(), "Keys of every kind", family.shared);
        }
        for kind in family.kinds() {
            self.add(format!("{}.{}", family.path, kind.name), kind.about, kind.keys);
        }
    }

    fn generator(&mut self, name: &str, generator: &GeneratorDescriptor) {
        let section = format!("{}.{name}", GENERATED.name);
        let entry = |(key, schema): (&String, &Json)| {
            let key = format!("{section}.{key}");
            KeyEntry {
                value: described(schema),
                required: false,
                default: None,
                about: schema["description"].as_str().unwrap_or_default().to_string(),
                used_in: self.examples.get(&key).cloned(),
                key,
            }
        };
        let keys = generator.parameters.iter().map(entry).collect();
        let used_in = self.examples.get(&section).cloned();
        self.list.push(Section { about: generator.summary.clone(), used_in, keys, name: section });
    }

    /// Adds a section, then the mappings of its keys.
    fn add(&mut self, name: String, about: &str, keys: &[Key]) {
        let entries = keys.iter().map(|key| self.entry(&name, key)).collect();
        let used_in = self.examples.get(&name).cloned();
        self.list.push(Section { name, about: about.to_string(), used_in, keys: entries });
        for mapping in keys.iter().flat_map(|key| nested(&key.form)) {
            self.mapping(mapping);
        }
    }

    fn entry(&self, section: &str, key: &Key) -> KeyEntry {
        let name = format!("{section}.{}", key.name);
        KeyEntry {
            value: describe(&key.form),
            required: key.is_required(),
            default: key.default(),
            about: key.about.to_string(),
            used_in: self.examples.get(&name).cloned(),
            key: name,
        }
    }
}

/// True if a section is a kind of a family.
pub(super) fn is_kind(section: &str) -> bool {
    FAMILIES.iter().any(|family| {
        let kind = section.strip_prefix(family.path).and_then(|rest| rest.strip_prefix('.'));
        kind.is_some_and(|name| family.kind(name).is_some())
    })
}
