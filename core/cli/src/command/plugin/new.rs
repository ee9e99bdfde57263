//! `anyflow plugin new`: creates a crate outside the repository that is a working plugin from the start.

use std::path::{Path, PathBuf};

use anyflow_plan::FileKind;
use serde_json::json;

use crate::command::shown;
use crate::console::Outcome;
use crate::error::{CliError, Result};
use crate::libtorch::Libtorch;

/// The SDK of the checkout that this program was built from.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk");

/// Arguments of `anyflow plugin new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the plugin: lowercase letters, digits and dashes
    name: String,
    /// Components of the plugin
    #[arg(long, value_enum, default_value_t = Kind::Both)]
    kind: Kind,
    /// Folder to create [default: the plugin's name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Folder of the crate anyflow-sdk [default: that of the checkout which this program was built from]
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// The components of a new plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A codec of times of day as points on a circle
    Codec,
    /// An autoencoder of vectors, for the codec of another plugin
    Module,
    /// A codec and an autoencoder for it
    Both,
}

/// Writes the crate.
///
/// # Errors
/// An invalid name, a folder that exists, no SDK, or a file that cannot be written.
pub fn run(args: &Args) -> Result<Outcome> {
    let Args { name, kind, .. } = args;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) || name.ends_with('-') {
        return Err(CliError::Usage(format!(
            "`{name}` is not a valid name; use lowercase letters, digits and dashes, and begin with a letter"
        )));
    }
    let folder = args.path.clone().unwrap_or_else(|| name.into());
    if folder.exists() {
        return Err(CliError::Usage(format!("{} exists already; choose another folder with --path", shown(&folder))));
    }
    let sdk = sdk(args.sdk.as_deref())?;
    for (file, text) in files(name, *kind, &sdk) {
        write(&folder.join(file), text.as_bytes())?;
    }
    // The versions that Anyflow itself was built with.
    if let Ok(lock) = std::fs::read(sdk.join("../../Cargo.lock")) {
        write(&folder.join("Cargo.lock"), &lock)?;
    }
    let libtorch = if *kind == Kind::Codec { String::new() } else { link(&folder) };
    let commands = commands(name);
    let text = format!("wrote {}\n{libtorch}Next, in that folder:\n\n{commands}", shown(&folder));
    Ok(Outcome::done(text, json!({"path": shown(&folder), "name": name, "sdk": shown(&sdk)})))
}

fn sdk(asked: Option<&Path>) -> Result<PathBuf> {
    let place = asked.unwrap_or(Path::new(SDK));
    let found = place.canonicalize().ok().filter(|place| place.join("Cargo.toml").is_file());
    found.ok_or_else(|| {
        CliError::Usage(format!(
            "there is no SDK in {}; set --sdk to the folder of the crate anyflow-sdk",
            shown(place)
        ))
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(CliError::write(folder))?;
    std::fs::write(path, bytes).map_err(CliError::write(path))
}

/// Links libtorch into the folder; returns a note if that fails.
fn link(folder: &Path) -> String {
    let absent = "libtorch was not found: link .libtorch to its folder before you build\n";
    match Libtorch::find() {
        Ok(libtorch) => match std::os::unix::fs::symlink(libtorch.root, folder.join(".libtorch")) {
            Ok(()) => String::new(),
            Err(_) => absent.into(),
        },
        Err(_) => absent.into(),
    }
}

fn files(name: &str, kind: Kind, sdk: &Path) -> Vec<(&'static str, String)> {
    let features = if kind == Kind::Codec { "" } else { r#", features = ["torch"]"# };
    let own = format!("codec: {name}/clock");
    let other = "codec: {use: label/one-hot, classes: 10}";
    let clock = format!("{name}/clock");
    let network = format!("{name}/autoencoder");
    // Stream and column, codec, module, size of the latent, and the component that decodes latents to cells.
    let (stream, codec, module, latent, decoder) = match kind {
        Kind::Codec => ("time", own.as_str(), String::new(), "2", &clock),
        Kind::Both => ("time", own.as_str(), format!(", module: {network}"), "4", &network),
        Kind::Module => ("label", other, format!(", module: {network}"), "4", &network),
    };
    let (modality, axis) = if kind == Kind::Module { ("label", "class") } else { (name, "coordinate") };
    let autoencoder = if kind == Kind::Codec { "" } else { include_str!("template/pipeline/autoencoder.yaml") };
    let sdk = shown(sdk);
    let commands = commands(name);
    let fill = |text: &str| {
        let words = [
            ("{autoencoder}", autoencoder),
            ("{name}", name),
            ("{sdk}", &sdk),
            ("{features}", features),
            ("{stream}", stream),
            ("{column}", stream),
            ("{codec}", codec),
            ("{module}", &module),
            ("{latent}", latent),
            ("{decoder}", decoder),
            ("{modality}", modality),
            ("{axis}", axis),
            ("{commands}", &commands),
        ];
        words.iter().fold(text.to_string(), |text, (word, value)| text.replace(word, value))
    };
    let mut files = vec![
        ("Cargo.toml", fill(include_str!("template/Cargo.toml.in"))),
        (".cargo/config.toml", include_str!("template/config.toml").into()),
        ("rustfmt.toml", include_str!("../../../../../rustfmt.toml").into()),
        (".gitignore", "/target\n/trained\n/made\n.libtorch\n".into()),
        ("README.md", fill("# {name}\n\nA plugin of Anyflow.\n\n```sh\n{commands}```\n")),
        ("src/lib.rs", library(name, kind)),
        ("data/rows.csv", rows(kind)),
        ("pipeline/model.yaml", fill(include_str!("template/pipeline/model.yaml"))),
        ("pipeline/train.yaml", fill(include_str!("template/pipeline/train.yaml"))),
        ("pipeline/generate.yaml", fill(include_str!("template/pipeline/generate.yaml"))),
        // The schemas of this release, which the first line of each YAML file names for editors.
        ("pipeline/schema/model.json", schema(FileKind::Model)),
        ("pipeline/schema/training.json", schema(FileKind::Training)),
        ("pipeline/schema/pipeline.json", schema(FileKind::Pipeline)),
    ];
    if kind != Kind::Module {
        files.push(("src/clock.rs", fill(include_str!("template/clock.rs"))));
    }
    if kind != Kind::Codec {
        files.push(("src/autoencoder.rs", fill(include_str!("template/autoencoder.rs"))));
    }
    files
}

fn schema(kind: FileKind) -> String {
    format!("{:#}\n", anyflow_plan::schema(kind))
}

/// The commands from a new crate to generated rows.
fn commands(name: &str) -> String {
    let library = format!("target/debug/lib{}.so", name.replace('-', "_"));
    format!(
        "cargo test\n\
         cargo build\n\
         anyflow plugin check {library}\n\
         export ANYFLOW_PLUGINS=$PWD/target/debug\n\
         anyflow data import data/rows.csv --output data/rows.parquet\n\
         anyflow train pipeline/train.yaml --data data --output trained\n\
         anyflow run pipeline/generate.yaml --rows 16 --output made\n\
         anyflow data head made\n"
    )
}

/// The root of the crate: the modules, the export, and the test kit as a test.
fn library(name: &str, kind: Kind) -> String {
    let codec = kind != Kind::Module;
    let module = kind != Kind::Codec;
    let mut text = format!("//! The plugin `{name}`.\n\n");
    let files = [(module, "autoencoder", "Autoencoder"), (codec, "clock", "Clock")].into_iter().filter(|(is, ..)| *is);
    let (mods, uses): (Vec<_>, Vec<_>) =
        files.map(|(_, file, item)| (format!("mod {file};\n"), format!("pub use {file}::{item};\n"))).unzip();
    text += &format!("{}\n{}\n", mods.concat(), uses.concat());
    text += &format!("anyflow_sdk::export_plugin! {{\n    name: \"{name}\",\n    license: \"MIT OR Apache-2.0\",\n");
    text += &format!("    summary: \"{}\",\n", if codec { "times of day" } else { "an autoencoder of vectors" });
    text += if codec { "    codecs: [Clock],\n" } else { "    codecs: [],\n" };
    text += if module { "    modules: [Autoencoder: Encoder + Decoder],\n" } else { "" };
    text += "}\n\n#[cfg(test)]\nmod tests {\n";
    let sample = if codec {
        "\n            .sample(\"clock\", anyflow_sdk::OwnedCell::Utf8(\"07:30\".into()))\n            "
    } else {
        ""
    };
    text += "    #[test]\n    fn the_test_kit_passes() {\n";
    text + &format!("        anyflow_sdk::testkit::Kit::new(crate::ENTRY){sample}.check();\n    }}\n}}\n")
}

/// Training data: times at which people leave and come home, or classes.
fn rows(kind: Kind) -> String {
    let time = |n: usize| {
        let (hour, spread) = if n.is_multiple_of(2) { (8, 37 * n % 61) } else { (17, 23 * n % 89) };
        let minutes = hour * 60 + spread;
        format!("{n},{:02}:{:02}\n", minutes / 60, minutes % 60)
    };
    match kind {
        Kind::Module => "id,label\n".to_string() + &(0..256).map(|n| format!("{n},{}\n", n % 10)).collect::<String>(),
        _ => "id,time\n".to_string() + &(0..256).map(time).collect::<String>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_no_unfilled_placeholders() {
        for kind in [Kind::Codec, Kind::Module, Kind::Both] {
            for (file, text) in files("a-name", kind, Path::new("/sdk")) {
                let words = ["name", "sdk", "features", "stream", "column", "codec", "module", "decoder", "axis"];
                let left = words.into_iter().find(|word| text.contains(&format!("{{{word}}}")));
                assert!(left.is_none(), "{kind:?} {file}: {left:?} in\n{text}");
            }
        }
    }

    #[test]
    fn yaml_files_name_a_schema_that_is_written() {
        let files = files("a-name", Kind::Both, Path::new("/sdk"));
        let yaml: Vec<_> = files.iter().filter(|(file, _)| file.ends_with(".yaml")).collect();
        assert_eq!(yaml.len(), 3);
        for (file, text) in yaml {
            let schema = text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
            let schema = format!("pipeline/{}", schema.unwrap_or_else(|| panic!("{file} names no schema")));
            let written = files.iter().find(|(file, _)| *file == schema).unwrap_or_else(|| panic!("no {schema}"));
            assert!(serde_json::from_str::<serde_json::Value>(&written.1).unwrap()["properties"].is_object());
        }
    }

    #[test]
    fn invalid_crate_names_are_refused() {
        for name in ["", "Clock", "1st", "a b", "a_b", "a-", "../a"] {
            let args = Args { name: name.into(), kind: Kind::Codec, path: None, sdk: None };
            assert_eq!(run(&args).err().map(|error| error.exit_code()), Some(2), "{name}");
        }
    }
}
