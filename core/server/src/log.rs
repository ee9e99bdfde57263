//! What the owner of the server is told on standard error.

use anyflow_datasets::escape_line;

/// Writes a line: what it quotes can neither forge another nor control the terminal.
pub fn tell(text: &str) {
    eprintln!("{}", escape_line(text));
}
