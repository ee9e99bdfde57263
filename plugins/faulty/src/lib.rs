//! Components that fail on request, for tests of hosts: a fault must not affect anything but its own component.

mod network;
mod panics;
mod plain;

pub use network::Network;
pub use panics::Panics;
pub use plain::Plain;

anyflow_sdk::export_plugin! {
    name: "faulty",
    license: "MIT OR Apache-2.0",
    summary: "components that fail on request",
    codecs: [Panics],
    modules: [Network: Encoder + Decoder],
    arrays: [Plain],
}
