//! Runs commands and prints each first, in a form that can be typed.

use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};

/// A command that ran but failed. Its own output says why.
#[derive(Debug, thiserror::Error)]
#[error("`{line}` failed ({status})")]
pub struct Failed {
    line: String,
    status: ExitStatus,
}

impl Failed {
    /// The exit code of the command.
    pub fn exit_code(&self) -> ExitCode {
        exit_code(self.status)
    }
}

/// Prints and runs a command.
///
/// # Errors
///
/// It cannot be started, or it ends with [`Failed`].
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if status.success() { Ok(()) } else { Err(Failed { line: line(command), status }.into()) }
}

/// Prints and runs a command; the caller judges its status.
///
/// # Errors
///
/// It cannot be started.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    announce(command);
    command.status().with_context(|| format!("cannot start `{}`", line(command)))
}

/// Prints the command line.
pub fn announce(command: &Command) {
    eprintln!("$ {}", line(command));
}

/// The exit code for a status: 128 + signal after a death by signal, as in a shell.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The command as text to type in its folder: shortens paths below that folder.
pub fn line(command: &Command) -> String {
    let folder = command.get_current_dir();
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value)))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.enumerate().map(|(position, word)| {
        let path = Path::new(word);
        match path.file_name() {
            // `$CARGO` is a path, but users type `cargo`.
            Some(name) if position == 0 && name == "cargo" => "cargo".into(),
            _ => quoted(&shortened(path, folder).to_string_lossy()),
        }
    });
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn shortened<'a>(path: &'a Path, folder: Option<&Path>) -> &'a Path {
    folder.and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path)
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@+%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_can_be_typed() {
        let mut command = Command::new("/home/me/anyflow/target/debug/anyflow");
        command.current_dir("/home/me/anyflow").env("OMP_NUM_THREADS", "1").env_remove("LIBTORCH");
        command.args(["run", "a file.yaml", "--output", "/home/me/anyflow/target/demo", "/elsewhere"]);
        assert_eq!(
            line(&command),
            "OMP_NUM_THREADS=1 target/debug/anyflow run 'a file.yaml' --output target/demo /elsewhere"
        );
    }

    #[test]
    fn cargo_is_called_by_its_name() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.args(["test", "--", "it's", ""]);
        assert_eq!(line(&command), r"cargo test -- 'it'\''s' ''");
    }

    #[test]
    fn a_failure_keeps_the_exit_code() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        let failed = error.downcast_ref::<Failed>().unwrap();
        assert_eq!(failed.to_string(), "`sh -c 'exit 3'` failed (exit status: 3)");
        assert_eq!(failed.exit_code(), ExitCode::from(3));
    }

    #[test]
    fn a_signal_becomes_an_exit_code() {
        let status = Command::new("sh").args(["-c", "kill -9 $$"]).status().unwrap();
        assert_eq!(exit_code(status), ExitCode::from(137));
    }
}
