//! `anyflow plugin new`: creates a crate outside the repository that is a working plugin from the start.

mod scaffold;

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::command::shown;
use crate::console::CommandResult;
use crate::error::{CliError, Result};
use crate::libtorch::Libtorch;
use scaffold::Scaffold;

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
    /// Add a classifier, with its training and an evaluation that uses it; needs a codec and a module
    #[arg(long)]
    scorer: bool,
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
/// An invalid name, a scorer without codec and module, a folder that exists, no SDK, or a file that cannot be written.
pub fn run(args: &Args) -> Result<CommandResult> {
    let Args { name, kind, scorer, .. } = args;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) || name.ends_with('-') {
        return Err(CliError::Usage(format!(
            "`{name}` is not a valid name; use lowercase letters, digits and dashes, and begin with a letter"
        )));
    }
    if *scorer && *kind != Kind::Both {
        return Err(CliError::Usage("--scorer needs a codec and a module; leave --kind out".into()));
    }
    let folder = args.path.clone().unwrap_or_else(|| name.into());
    if folder.exists() {
        return Err(CliError::Usage(format!("{} exists already; choose another folder with --path", shown(&folder))));
    }
    let sdk = sdk(args.sdk.as_deref())?;
    let scaffold = Scaffold { name, kind: *kind, scorer: *scorer, sdk: &sdk };
    for (file, text) in scaffold.files() {
        write(&folder.join(file), text.as_bytes())?;
    }
    // The versions that Anyflow itself was built with.
    if let Ok(lock) = std::fs::read(sdk.join("../../Cargo.lock")) {
        write(&folder.join("Cargo.lock"), &lock)?;
    }
    let mut text = format!("wrote {}\n", shown(&folder));
    if *kind != Kind::Codec {
        text += &link(&folder);
        text += &first_build(&sdk);
    }
    text += &format!("Next, in that folder:\n\n{}", scaffold.commands());
    Ok(CommandResult::done(text, json!({"path": shown(&folder), "name": name, "sdk": shown(&sdk)})))
}

/// The cost of the first build, and how to save most of it.
fn first_build(sdk: &Path) -> String {
    let mut text =
        "The first build takes 5 to 9 minutes on two cores: it compiles the bindings to libtorch.\n".to_string();
    if let Ok(target) = sdk.join("../../target").canonicalize() {
        text += &format!("To reuse those of the checkout: export CARGO_BUILD_BUILD_DIR={}\n", shown(&target));
    }
    text
}

fn sdk(asked: Option<&Path>) -> Result<PathBuf> {
    let place = asked.unwrap_or(Path::new(SDK));
    let found = place.canonicalize().ok().filter(|place| place.join("Cargo.toml").is_file());
    found.ok_or_else(|| {
        CliError::Usage(format!(
            "{} does not contain the SDK; set --sdk to the folder of the crate anyflow-sdk",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_crate_names_are_refused() {
        for name in ["", "Clock", "1st", "a b", "a_b", "a-", "../a"] {
            let args = Args { name: name.into(), kind: Kind::Codec, scorer: false, path: None, sdk: None };
            assert_eq!(run(&args).err().map(|error| error.exit_code()), Some(2), "{name}");
        }
    }

    #[test]
    fn a_scorer_needs_a_codec_and_a_module() {
        for kind in [Kind::Codec, Kind::Module] {
            let args = Args { name: "x".into(), kind, scorer: true, path: None, sdk: None };
            assert_eq!(run(&args).err().map(|error| error.exit_code()), Some(2), "{kind:?}");
        }
    }
}
