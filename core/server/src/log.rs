//! Messages for the owner of the server, on standard error.

use anyflow_datasets::escape_line;

/// Writes one line. Quoted text cannot start another line or control the terminal.
pub fn report(text: &str) {
    eprintln!("{}", escape_line(text));
}
