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

pub(crate) use companions::AuxiliaryProblem;
pub(crate) use diffusion::{DiffusionProblem, choose_denoiser, resolve_diffusion};
pub(crate) use edges::{Graph, Link, PortProblem, Slot, Vertex, connect};
pub(crate) use model::{ModelGraph, PartProblem, StreamNode, encoding, read_by, resolve_model};
pub(crate) use nodes::{Act, NodeProblem, resolve_node};
pub(crate) use reads::ReadsProblem;
pub(crate) use roles::{RoleProblem, known_streams, resolve_roles};
pub(crate) use scoring::{LABEL, PORTS, SCORES, ScoreProblem, leaving, resolve_scoring};
pub(crate) use shapes::ShapeProblem;
