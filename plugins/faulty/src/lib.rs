//! Components that go wrong on request, for the tests of whoever loads plugins: what one of them breaks must stay its
//! own affair.

mod network;
mod panics;
mod plain;

pub use network::Network;
pub use panics::Panics;
pub use plain::Plain;

anyflow_sdk::export_plugin! {
    name: "faulty",
    license: "MIT OR Apache-2.0",
    summary: "components that go wrong on request",
    codecs: [Panics],
    modules: [Network: Encoder + Decoder],
    arrays: [Plain],
}
