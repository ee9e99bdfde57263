//! What the tests share: a model with its files in `tests/files`, fixtures of plugins, and `check`.

use std::path::PathBuf;

use anyflow_datasets::Generator;
use anyflow_plan::descriptor::{GeneratorDescriptor, Generators};
use anyflow_plan::plan::Job;
use anyflow_plan::{Catalog, Errors, FileKind, Format, Override, Source, Warning, explain};

/// The folder of this crate.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The plugins of the fixtures, and the generators.
pub fn catalog() -> Catalog {
    let mut catalog = Catalog { generators: generators(), ..Catalog::default() };
    for name in ["image", "audio", "text", "label"] {
        let path = folder().join(format!("tests/descriptors/{name}.json"));
        let descriptor = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        catalog.plugins.insert(name.into(), (descriptor, format!("plugins/lib{name}.so")));
    }
    catalog
}

/// The generators of the datasets.
pub fn generators() -> Generators {
    let described = |generator: Generator| {
        let descriptor =
            GeneratorDescriptor { summary: generator.summary().into(), parameters: generator.parameters() };
        (generator.name().to_string(), descriptor)
    };
    Generator::ALL.into_iter().map(described).collect()
}

/// A file of `tests/files`, under a path that is the same on every machine.
pub fn file(name: &str) -> Source {
    let text = std::fs::read_to_string(folder().join("tests/files").join(name)).unwrap();
    Source::new(format!("mld/{name}"), text)
}

/// All files of `tests/files`, sorted.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder().join("tests/files")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    names
}

/// A file with its model, changed for a test.
pub struct Case {
    pub main: Source,
    pub model: Source,
    /// Models that variants name beside it.
    pub others: Vec<Source>,
    pub catalog: Catalog,
    pub overrides: Vec<Override>,
}

impl Case {
    /// A file as it is.
    pub fn of(name: &str) -> Self {
        let main = file(name);
        let model = file("model.yaml");
        Case { main, model, others: Vec::new(), catalog: catalog(), overrides: Vec::new() }
    }

    /// Adds a model that a variant names: the model, with a part replaced.
    pub fn other(mut self, name: &str, from: &str, to: &str) -> Self {
        assert!(self.model.text.contains(from), "nothing to replace: {from}");
        self.others.push(Source::new(format!("mld/{name}"), self.model.text.replacen(from, to, 1)));
        self
    }

    /// Replaces a part of the file.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        assert!(self.main.text.contains(from), "nothing to replace: {from}");
        self.main.text = self.main.text.replacen(from, to, 1);
        self
    }

    /// Replaces a part of the model.
    pub fn edit_model(mut self, from: &str, to: &str) -> Self {
        assert!(self.model.text.contains(from), "nothing to replace: {from}");
        self.model.text = self.model.text.replacen(from, to, 1);
        self
    }

    /// Has a module of the fixtures called by another interface.
    pub fn called_by(mut self, plugin: &str, module: &str, interface: &str) -> Self {
        let (descriptor, _) = self.catalog.plugins.get_mut(plugin).unwrap();
        let module = descriptor.modules.iter_mut().find(|known| known.id == module).unwrap();
        module.interface = interface.to_string().into();
        self
    }

    /// Adds an override.
    pub fn set(mut self, text: &str) -> Self {
        self.overrides.push(Override::parse(text).unwrap());
        self
    }

    /// Compiles it as what it is.
    pub fn compile(&self) -> Result<(Job, Vec<Warning>), Errors> {
        let Case { main, model, others, catalog, overrides } = self;
        match anyflow_plan::kind_of(main)? {
            FileKind::Training => anyflow_plan::compile_train(main, model, catalog, overrides, Some("data"))
                .map(|(plan, warnings)| (Job::Train(plan), warnings)),
            FileKind::Evaluation => {
                let models: Vec<&Source> = std::iter::once(model).chain(others).collect();
                anyflow_plan::compile_eval(main, &models, catalog, overrides, Some("data"))
                    .map(|(plan, warnings)| (Job::Eval(plan), warnings))
            }
            _ => anyflow_plan::compile_run(main, model, catalog, overrides)
                .map(|(plan, warnings)| (Job::Run(plan), warnings)),
        }
    }

    /// All that is said about it: errors, or warnings and the word `fine`.
    pub fn said(&self) -> String {
        let sources: Vec<&Source> = [&self.main, &self.model].into_iter().chain(&self.others).collect();
        match self.compile() {
            Err(errors) => told(&errors, &sources),
            Ok((_, warnings)) if warnings.is_empty() => "fine\n".to_string(),
            Ok((_, warnings)) => {
                let mut codes: Vec<&str> = warnings.iter().map(|warning| warning.code.as_str()).collect();
                codes.dedup();
                let said: String = warnings.iter().map(|warning| warning.render(&sources, false) + "\n").collect();
                format!("{}\n\n{said}fine\n", codes.join(", "))
            }
        }
    }

    /// Compares what is said with a snapshot.
    pub fn check(&self, name: &str) {
        snapshot(name, &self.said());
    }
}

/// The codes of errors, and their text.
pub fn told(errors: &Errors, sources: &[&Source]) -> String {
    format!("{}\n\n{}", errors.codes().join(", "), errors.render(sources, false))
}

/// A plan as text, without the options that have their defaults.
pub fn text(job: &Job) -> String {
    explain(job, Format::Text(&catalog()))
}

/// Compares with a file in `tests/snapshots`.
pub fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder().join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
