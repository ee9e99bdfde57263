//! The program anyflow.
fn main() {}
