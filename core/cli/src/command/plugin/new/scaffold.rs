//! The files of a new plugin's crate.

use std::path::Path;

use anyflow_plan::FileKind;

use super::Kind;
use crate::command::shown;
use crate::generators;

/// A new plugin.
pub(super) struct Scaffold<'a> {
    pub name: &'a str,
    pub kind: Kind,
    /// Adds a classifier; for [`Kind::Both`] only.
    pub scorer: bool,
    /// Folder of the crate anyflow-sdk.
    pub sdk: &'a Path,
}

impl Scaffold<'_> {
    /// All files, by path within the crate.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let fill = |text: &str| self.fill(text);
        let mut files = vec![
            ("Cargo.toml", fill(include_str!("../template/Cargo.toml.in"))),
            (".cargo/config.toml", include_str!("../template/config.toml").into()),
            ("rustfmt.toml", include_str!("../../../../../../rustfmt.toml").into()),
            (".gitignore", "/target\n/trained\n/judges\n/made\n/evaluated\n.libtorch\n".into()),
            ("README.md", fill("# {name}\n\nA plugin of Anyflow.\n\n```sh\n{commands}```\n")),
            ("src/lib.rs", self.library()),
            ("data/rows.csv", self.rows(0..256)),
            ("pipeline/model.yaml", fill(include_str!("../template/pipeline/model.yaml"))),
            ("pipeline/train.yaml", fill(include_str!("../template/pipeline/train.yaml"))),
            ("pipeline/generate.yaml", fill(include_str!("../template/pipeline/generate.yaml"))),
            // The schemas of this release, which the first line of each YAML file names for editors.
            ("pipeline/schema/model.json", schema(FileKind::Model)),
            ("pipeline/schema/training.json", schema(FileKind::Training)),
            ("pipeline/schema/pipeline.json", schema(FileKind::Pipeline)),
        ];
        if self.has_codec() {
            files.push(("src/clock.rs", fill(include_str!("../template/clock.rs"))));
        }
        if self.has_module() {
            files.push(("build.rs", include_str!("../template/build.rs").into()));
            files.push(("src/autoencoder.rs", fill(include_str!("../template/autoencoder.rs"))));
        }
        if self.scorer {
            files.push(("src/classifier.rs", fill(include_str!("../template/classifier.rs"))));
            files.push(("data/held-out.csv", self.rows(256..320)));
            files.push(("pipeline/judges.yaml", fill(include_str!("../template/pipeline/judges.yaml"))));
            files.push(("pipeline/eval.yaml", fill(include_str!("../template/pipeline/eval.yaml"))));
            files.push(("pipeline/schema/evaluation.json", schema(FileKind::Evaluation)));
        }
        files
    }

    /// The commands from a new crate to generated rows. They do not depend on where the target folder is.
    pub fn commands(&self) -> String {
        let library = format!("lib{}.so", self.name.replace('-', "_"));
        let mut commands = format!(
            "cargo test\n\
             cargo build\n\
             export ANYFLOW_PLUGINS=\"$(realpath \"${{CARGO_TARGET_DIR:-target}}\")/debug\"\n\
             anyflow plugin check \"$ANYFLOW_PLUGINS/{library}\"\n\
             anyflow data import data/rows.csv --output data/rows.parquet\n\
             anyflow train pipeline/train.yaml --data data --output trained\n\
             anyflow run pipeline/generate.yaml --rows 16 --output made\n\
             anyflow data head made\n"
        );
        if self.scorer {
            commands += "anyflow data import data/held-out.csv --output data/held-out.parquet\n\
                         anyflow train pipeline/judges.yaml --data data --output judges\n\
                         anyflow eval pipeline/eval.yaml --data data --output evaluated\n";
        }
        commands
    }

    fn has_codec(&self) -> bool {
        self.kind != Kind::Module
    }

    fn has_module(&self) -> bool {
        self.kind != Kind::Codec
    }

    /// A template with its placeholders filled in.
    fn fill(&self, text: &str) -> String {
        let name = self.name;
        let own = format!("codec: {name}/clock");
        let other = "codec: {use: label/one-hot, classes: 10}";
        let clock = format!("{name}/clock");
        let network = format!("{name}/autoencoder");
        // Stream and column, codec, module, size of the latent, and the component that decodes latents to cells.
        let (stream, codec, module, latent, decoder) = match self.kind {
            Kind::Codec => ("time", own.as_str(), String::new(), "2", &clock),
            Kind::Both => ("time", own.as_str(), format!(", module: {network}"), "4", &network),
            Kind::Module => ("label", other, format!(", module: {network}"), "4", &network),
        };
        let features = if self.has_module() { r#", features = ["torch"]"# } else { "" };
        let autoencoder = if self.has_module() { include_str!("../template/pipeline/autoencoder.yaml") } else { "" };
        let (modality, axis) = if self.has_codec() { (name, "coordinate") } else { ("label", "class") };
        let sdk = shown(self.sdk);
        let commands = self.commands();
        let mut streams = stream.to_string();
        let mut columns = format!("{stream}: rows.{stream}");
        let mut part = "";
        let mut times = "{kind: shared-all}";
        if self.scorer {
            streams += ", part";
            columns += ", part: rows.part";
            part = "  part: {codec: {use: label/one-hot, classes: 2}, latent: [2]}\n";
            times = "{kind: subset-shared, p_cond: 0.7, p_absent: 0.3}";
        }
        let words = [
            ("{autoencoder}", autoencoder),
            ("{name}", name),
            ("{sdk}", &sdk),
            ("{features}", features),
            ("{streams}", &streams),
            ("{stream}", stream),
            ("{column}", stream),
            ("{columns}", &columns),
            ("{part}", part),
            ("{times}", times),
            ("{codec}", codec),
            ("{module}", &module),
            ("{latent}", latent),
            ("{decoder}", decoder),
            ("{modality}", modality),
            ("{axis}", axis),
            ("{commands}", &commands),
        ];
        words.iter().fold(text.to_string(), |text, (word, value)| text.replace(word, value))
    }

    /// The root of the crate: the modules, the export, and the test kit as a test.
    fn library(&self) -> String {
        let mut text = format!("//! The plugin `{}`.\n\n", self.name);
        let files = [
            (self.has_module(), "autoencoder", "Autoencoder"),
            (self.scorer, "classifier", "Classifier"),
            (self.has_codec(), "clock", "Clock"),
        ];
        let files = files.into_iter().filter(|(is, ..)| *is);
        let (mods, uses): (Vec<_>, Vec<_>) =
            files.map(|(_, file, item)| (format!("mod {file};\n"), format!("pub use {file}::{item};\n"))).unzip();
        text += &format!("{}\n{}\n", mods.concat(), uses.concat());
        text += &format!("anyflow_sdk::export_plugin! {{\n    name: \"{}\",\n", self.name);
        text += "    license: \"MIT OR Apache-2.0\",\n";
        text += if self.has_codec() {
            "    summary: \"times of day\",\n    codecs: [Clock],\n"
        } else {
            "    summary: \"an autoencoder of vectors\",\n    codecs: [],\n"
        };
        if self.has_module() {
            let classifier = if self.scorer { ", Classifier: Scorer + FeatureExtractor" } else { "" };
            text += &format!("    modules: [Autoencoder: Encoder + Decoder{classifier}],\n");
        }
        text += "}\n\n#[cfg(test)]\nmod tests {\n";
        let sample = if self.has_codec() {
            "\n            .sample(\"clock\", anyflow_sdk::OwnedCell::Utf8(\"07:30\".into()))\n            "
        } else {
            ""
        };
        text += "    #[test]\n    fn the_test_kit_passes() {\n";
        text + &format!("        anyflow_sdk::testkit::Kit::new(crate::ENTRY){sample}.check();\n    }}\n}}\n")
    }

    /// Rows: times at which people leave (part 0) and come home (part 1), or labels.
    fn rows(&self, numbers: std::ops::Range<usize>) -> String {
        if !self.has_codec() {
            return "id,label\n".to_string() + &numbers.map(|n| format!("{n},{}\n", n % 10)).collect::<String>();
        }
        let row = |n: usize| {
            let part = n % 2;
            let (hour, spread) = if part == 0 { (8, 37 * n % 61) } else { (17, 23 * n % 89) };
            let minutes = hour * 60 + spread;
            let part = if self.scorer { format!(",{part}") } else { String::new() };
            format!("{n},{:02}:{:02}{part}\n", minutes / 60, minutes % 60)
        };
        let head = if self.scorer { "id,time,part\n" } else { "id,time\n" };
        head.to_string() + &numbers.map(row).collect::<String>()
    }
}

fn schema(kind: FileKind) -> String {
    format!("{:#}\n", anyflow_plan::schema(kind, &generators::descriptors()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of crate, with and without a scorer.
    fn all() -> [Scaffold<'static>; 4] {
        let scaffold = |kind, scorer| Scaffold { name: "a-name", kind, scorer, sdk: Path::new("/sdk") };
        [
            scaffold(Kind::Codec, false),
            scaffold(Kind::Module, false),
            scaffold(Kind::Both, false),
            scaffold(Kind::Both, true),
        ]
    }

    #[test]
    fn templates_have_no_unfilled_placeholders() {
        for scaffold in all() {
            for (file, text) in scaffold.files() {
                let words = [
                    "name", "sdk", "features", "stream", "streams", "column", "columns", "part", "times", "codec",
                    "module", "decoder", "axis", "modality",
                ];
                let left = words.into_iter().find(|word| text.contains(&format!("{{{word}}}")));
                assert!(left.is_none(), "{:?} {file}: {left:?} in\n{text}", scaffold.kind);
            }
        }
    }

    #[test]
    fn yaml_files_name_a_schema_that_is_written() {
        for scaffold in all() {
            let files = scaffold.files();
            let yaml: Vec<_> = files.iter().filter(|(file, _)| file.ends_with(".yaml")).collect();
            assert_eq!(yaml.len(), if scaffold.scorer { 5 } else { 3 });
            for (file, text) in yaml {
                let schema = text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
                let schema = format!("pipeline/{}", schema.unwrap_or_else(|| panic!("{file} names no schema")));
                let written = files.iter().find(|(file, _)| *file == schema).unwrap_or_else(|| panic!("no {schema}"));
                assert!(serde_json::from_str::<serde_json::Value>(&written.1).unwrap()["properties"].is_object());
            }
        }
    }
}
