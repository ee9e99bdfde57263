//! JSON Schema of the four kinds of files, generated from the tables that read them.

use anyflow_config::{Family, Key, Kind, Mapping, ValueForm};
use serde_json::{Map, Value as Json, json};

use crate::compile::FileKind;
use crate::descriptor::{GeneratorDescriptor, Generators};
use crate::surface::keys;

/// The JSON Schema of a kind of files, for editors. It does not contain the parameters of plugins.
pub fn schema(kind: FileKind, generators: &Generators) -> Json {
    let (title, mapping) = match kind {
        FileKind::Pipeline => ("Anyflow pipeline", &keys::PIPELINE),
        FileKind::Model => ("Anyflow model", &keys::MODEL),
        FileKind::Training => ("Anyflow training", &keys::TRAINING),
        FileKind::Evaluation => ("Anyflow evaluation", &keys::EVALUATION),
    };
    let mut object = Map::new();
    object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    object.insert("title".into(), json!(title));
    if let Json::Object(body) = (Schemas { generators }).of_mapping(mapping) {
        object.extend(body);
    }
    Json::Object(object)
}

/// Schemas of parts of a file.
struct Schemas<'g> {
    generators: &'g Generators,
}

impl Schemas<'_> {
    fn of_mapping(&self, mapping: &Mapping) -> Json {
        self.object(mapping.keys, None)
    }

    fn object(&self, keys: &[Key], kind: Option<&Kind>) -> Json {
        let mut properties = Map::new();
        let mut required: Vec<&str> = Vec::new();
        if let Some(kind) = kind {
            properties.insert("kind".into(), json!({"const": kind.name, "description": kind.about}));
        }
        for key in keys {
            properties.insert(key.name.into(), self.of_key(key));
            if key.is_required() {
                required.push(key.name);
            }
        }
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    fn of_key(&self, key: &Key) -> Json {
        let mut schema = self.of_form(&key.form);
        if let Json::Object(schema) = &mut schema {
            schema.insert("description".into(), json!(key.about));
            if let Some(default) = key.default() {
                schema.insert("default".into(), default);
            }
        }
        schema
    }

    fn of_form(&self, form: &ValueForm) -> Json {
        match form {
            ValueForm::Any => json!({}),
            ValueForm::Flag => json!({"type": "boolean"}),
            ValueForm::String | ValueForm::Name(_) => json!({"type": "string"}),
            ValueForm::Integer { minimum, maximum } if minimum == maximum => json!({"const": *minimum as i64}),
            ValueForm::Integer { minimum, maximum } => {
                json!({"type": "integer", "minimum": *minimum as i64, "maximum": *maximum as u64})
            }
            ValueForm::Number { minimum, maximum, above } => number(*minimum, *maximum, *above),
            ValueForm::Choice(words) => json!({"enum": words}),
            ValueForm::Kind(family) => self.of_family(family),
            ValueForm::Use => {
                let component = json!({"type": "string", "pattern": "^[^/]+/[^/]+$"});
                let mapping = json!({"type": "object", "properties": {"use": component}, "required": ["use"]});
                json!({"oneOf": [component, mapping]})
            }
            ValueForm::List(of) => json!({"type": "array", "items": self.of_form(of)}),
            ValueForm::OneOrMore(of) => {
                json!({"oneOf": [self.of_form(of), {"type": "array", "items": self.of_form(of)}]})
            }
            ValueForm::Or(one, other) => json!({"oneOf": [self.of_form(one), self.of_form(other)]}),
            ValueForm::Names(of) | ValueForm::NamesOf(_, of) => {
                json!({"type": "object", "additionalProperties": self.of_form(of)})
            }
            ValueForm::Mapping(mapping) => self.of_mapping(mapping),
            ValueForm::Described(mapping) => self.of_described(mapping),
            ValueForm::Either(forms) => {
                json!({"anyOf": forms.iter().map(|form| self.of_form(form)).collect::<Vec<_>>()})
            }
            ValueForm::OneOf(mappings) => {
                json!({"oneOf": mappings.iter().map(|mapping| self.of_mapping(mapping)).collect::<Vec<_>>()})
            }
        }
    }

    /// One schema per kind. `kind` is optional if the family has a default.
    fn of_family(&self, family: &Family) -> Json {
        let default = family.default_kind().map(|kind| kind.name);
        let kinds: Vec<Json> = family
            .kinds()
            .map(|kind| {
                let mut schema = self.object(&family.keys(kind), Some(kind));
                if let Some(required) = schema["required"].as_array_mut().filter(|_| default != Some(kind.name)) {
                    required.insert(0, json!("kind"));
                }
                schema
            })
            .collect();
        json!({"oneOf": kinds})
    }

    /// One schema per generator, which the first key names.
    fn of_described(&self, mapping: &Mapping) -> Json {
        let of = |(name, generator): (&String, &GeneratorDescriptor)| {
            let mut schema = self.of_mapping(mapping);
            schema["properties"][mapping.keys[0].name] = json!({"const": name, "description": generator.summary});
            for (key, property) in &generator.parameters {
                schema["properties"][key.as_str()] = property.clone();
            }
            schema
        };
        json!({"oneOf": self.generators.iter().map(of).collect::<Vec<_>>()})
    }
}

fn number(minimum: f64, maximum: f64, above: bool) -> Json {
    let mut schema = Map::new();
    schema.insert("type".into(), json!("number"));
    schema.insert(if above { "exclusiveMinimum" } else { "minimum" }.into(), json!(minimum));
    if maximum.is_finite() {
        schema.insert("maximum".into(), json!(maximum));
    }
    Json::Object(schema)
}
