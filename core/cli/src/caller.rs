//! The program that called this one.

use std::io;

/// Ends this program when its standard input ends, because then its caller is gone: a worker that is killed leaves no run
/// behind that holds the lock of an output. The engine ends with this program.
///
/// # Errors
/// No thread can be started.
pub fn end_with_it() -> io::Result<()> {
    let wait = || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(1);
    };
    std::thread::Builder::new().name("caller".into()).spawn(wait).map(drop)
}
