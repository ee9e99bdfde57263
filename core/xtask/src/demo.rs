//! `cargo xtask demo`: generates samples with the shipped checkpoints and writes a report.
//!
//! Prints its commands, so that users can learn from them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, setup};

/// The pipeline that generates every modality unconditionally. The others use its rows.
const JOINT: &str = "joint";

/// Pipelines that generate some modalities from others.
const CONDITIONAL: [&str; 3] = ["text-to-image-audio", "image-to-audio-text", "audio-to-image-text"];

/// File name of the report.
const REPORT: &str = "report.html";

/// Runs the demo.
///
/// # Errors
///
/// The set-up, the build or a command fails.
pub fn run(workspace: &Workspace) -> Result<()> {
    let begin = Instant::now();
    setup::run(workspace)?;
    process::run(workspace.cargo().arg("build"))?;
    let folder = workspace.target.join("demo");
    clear(&folder)?;
    for arguments in commands(workspace.relative(&folder)) {
        process::run(workspace.program("anyflow").args(arguments))?;
    }
    println!("\nthe report: {}", folder.join(REPORT).display());
    println!("the demo took {:.0} s, with the build", begin.elapsed().as_secs_f64());
    Ok(())
}

/// The arguments of each `anyflow` command; `output` is relative to the root.
fn commands(folder: &Path) -> Vec<Vec<String>> {
    let shown = |path: PathBuf| path.display().to_string();
    let run = |name: &str, rows: [String; 2]| {
        let pipeline = format!("pipelines/mld/{name}.yaml");
        let output = shown(folder.join(name));
        ["run".into(), pipeline].into_iter().chain(rows).chain(["--output".into(), output]).collect()
    };
    // The empty name adds a slash, which marks the input as a folder.
    let joint = shown(folder.join(JOINT).join(""));
    let mut commands = vec![run(JOINT, ["--rows".into(), "64".into()])];
    commands.extend(CONDITIONAL.map(|name| run(name, ["--input".into(), joint.clone()])));
    commands.push(vec!["report".into(), shown(folder.to_owned())]);
    commands
}

/// Removes the output of an earlier demo, and nothing else. Otherwise `anyflow run` would find its work done.
fn clear(folder: &Path) -> Result<()> {
    let removals =
        [JOINT].iter().chain(&CONDITIONAL).map(|name| folder.join(name)).map(|path| (fs::remove_dir_all(&path), path));
    let report = folder.join(REPORT);
    for (removal, path) in removals.chain([(fs::remove_file(&report), report)]) {
        match removal {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}, from an earlier demo", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_prints_commands_that_work_as_typed() {
        let lines: Vec<String> = commands(Path::new("target/demo")).iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "run pipelines/mld/joint.yaml --rows 64 --output target/demo/joint",
                "run pipelines/mld/text-to-image-audio.yaml --input target/demo/joint/ \
                 --output target/demo/text-to-image-audio",
                "run pipelines/mld/image-to-audio-text.yaml --input target/demo/joint/ \
                 --output target/demo/image-to-audio-text",
                "run pipelines/mld/audio-to-image-text.yaml --input target/demo/joint/ \
                 --output target/demo/audio-to-image-text",
                "report target/demo",
            ]
        );
    }

    #[test]
    fn only_earlier_output_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        for name in [JOINT, CONDITIONAL[0], "mine"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("part.parquet"), "").unwrap();
        }
        fs::write(folder.path().join(REPORT), "").unwrap();
        clear(folder.path()).unwrap();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mine"]);
        clear(&folder.path().join("absent")).unwrap();
    }
}
