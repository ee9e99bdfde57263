//! The program `anyflow`: checks, plans, inspects and reports; starts the engine for work with tensors.

mod adopt;
mod allow;
mod attempts;
mod caller;
mod catalog;
mod cli;
mod combination;
mod command;
mod compiled;
mod console;
mod engine;
mod error;
mod escape;
mod exposure;
mod generators;
mod given;
mod libtorch;
mod order;
mod panics;
mod paths;
mod progress;
mod regular;
mod report;
mod sources;
mod supervise;

use std::process::ExitCode;

use console::Console;

fn main() -> ExitCode {
    panics::print_briefly();
    let cli = match cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        // Help and version contain only our own text. An error quotes arguments, which must be escaped.
        Err(asked) if !asked.use_stderr() => asked.exit(),
        Err(error) => {
            Console::new(false).note(&cli::words(&error));
            return ExitCode::from(2);
        }
    };
    let console = Console::new(cli.json);
    if cli.end_with_caller
        && let Err(error) = caller::end_with_it()
    {
        console.note(&format!("error: no thread can be started: {error}"));
        return ExitCode::FAILURE;
    }
    allow::choose(cli.plugins_allow);
    match cli.command.run(&console) {
        Ok(outcome) => match console.outcome(&outcome) {
            Ok(()) => ExitCode::from(outcome.code),
            Err(error) => {
                Console { json: false, ..console }.note(&format!("error: the result cannot be written: {error}"));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            if console.json {
                // The exit code tells of the error as well.
                let _ = console.json(&error.json());
            } else {
                console.note(&error.render(console.color));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
