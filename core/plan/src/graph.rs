//! `Graph`: names resolved, components attached, defaults filled, types of all ports known.

mod companions;
mod diffusion;
mod edges;
mod model;
mod nodes;
mod reads;
mod scoring;
mod shapes;

pub(crate) use diffusion::{Diffusion, StreamLists, choose_denoiser, known_streams, resolve_lists};
pub(crate) use edges::{Graph, Link, Slot, Vertex, connect};
pub(crate) use model::{ModelGraph, StreamNode, encoding, read_by, resolve_model};
pub(crate) use nodes::{Act, resolve_node};
pub(crate) use scoring::{LABEL, PORTS, SCORES, Score, leaving, resolve_score, resolve_scoring};
