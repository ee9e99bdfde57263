//! Runs the engine, shows its events, and explains its death.

mod calls;
mod death;
mod end;
mod error;
mod hear;
mod interrupt;
mod listen;
mod log;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

pub use death::Death;
pub use error::EngineFailure;
pub use interrupt::{at_end_of_input, interrupt};

use crate::progress::Progress;
use calls::Calls;
use listen::Voices;

/// What an engine reads from its standard input: the order, and what follows it.
pub type EngineInput = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// Runs the engine to its end and shows its progress. The pipe to it stays open until the engine has ended: its end tells the engine that this program is gone.
///
/// # Errors
/// [`EngineFailure`]: the engine could not start, failed, died, sent an invalid event, or was stopped.
pub fn supervise(mut command: Command, input: EngineInput, progress: &mut Progress) -> Result<Value, EngineFailure> {
    let program = PathBuf::from(command.get_program());
    let start = |source| EngineFailure::Start { path: program.clone(), source };
    let calls = Calls::new().map_err(start)?;
    let shared = calls.share(&mut command).map_err(start)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    interrupt::own_group(&mut command);
    let mut child = command.spawn().map_err(start)?;
    drop(shared);
    let guard = interrupt::watch(child.id());
    let heard = match Voices::of(&mut child, input) {
        Ok(voices) => Ok(hear::hear(&voices, child.id(), progress)),
        Err(error) => {
            interrupt::kill_group(child.id());
            Err(error)
        }
    };
    let interrupted = guard.interrupted();
    drop(guard);
    let status = child.wait();
    progress.clear();
    let heard = heard.map_err(start)?;
    let status = status.map_err(start)?;
    end::conclude(heard, status, interrupted, &calls)
}

#[cfg(test)]
mod tests;
