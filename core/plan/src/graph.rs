//! `Graph`: names resolved, components attached, defaults filled, types of all ports known.

mod companions;
mod diffusion;
mod edges;
mod model;
mod nodes;
mod reads;
mod roles;
mod scoring;
mod shapes;
mod sites;

pub(crate) use diffusion::{choose_denoiser, resolve_diffusion};
pub(crate) use edges::{Graph, Link, Slot, Vertex, connect};
pub(crate) use model::{ModelGraph, StreamNode, encoding, read_by, resolve_model};
pub(crate) use nodes::{Act, resolve_node};
pub(crate) use roles::{known_streams, resolve_roles};
pub(crate) use scoring::{LABEL, PORTS, SCORES, leaving, resolve_scoring};
