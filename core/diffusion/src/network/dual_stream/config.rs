//! The configuration of a dual-stream network.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::super::Network;
use crate::{EngineError, Result, Site};

/// The parts of a [`DualStream`](super::DualStream) network, and what they read from each other.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DualStreamConfig {
    /// Stream -> its network.
    pub parts: IndexMap<String, Network>,
    /// Stream -> the features that its network reads from another stream's network.
    pub reads: IndexMap<String, Reading>,
}

/// The features that the network of one stream reads from another's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The other stream, whose own network reads nothing.
    pub stream: String,
    /// The names of the sites whose features are read.
    pub sites: Vec<String>,
    /// The width of the tokens made from the features.
    #[serde(default = "default_features")]
    pub features: i64,
}

fn default_features() -> i64 {
    64
}

impl Reading {
    /// The sites.
    ///
    /// # Errors
    /// The list is empty, or a name is not that of a site.
    pub(super) fn parsed_sites(&self) -> Result<Vec<Site>> {
        if self.sites.is_empty() {
            return Err(bad("sites", "at least one", "none".to_string()));
        }
        self.sites.iter().map(|name| name.parse()).collect()
    }
}

impl DualStreamConfig {
    /// Rejects nested networks, and readings that cannot work.
    pub fn check(&self) -> Result<()> {
        for (stream, part) in &self.parts {
            if matches!(part, Network::Coupled(_) | Network::DualStream(_)) {
                return Err(bad(
                    "parts",
                    "networks over one stream",
                    format!("a nested network for stream {stream:?}"),
                ));
            }
            part.check()?;
        }
        for (stream, reading) in &self.reads {
            let reader = self.parts.contains_key(stream);
            let read = self.parts.contains_key(&reading.stream);
            if !reader || !read || self.reads.contains_key(&reading.stream) {
                let found = format!("{stream:?} reading {:?}", reading.stream);
                return Err(bad("reads", "readings from streams that read nothing", found));
            }
            if reading.features < 1 {
                return Err(bad("features", "at least 1", reading.features.to_string()));
            }
            reading.parsed_sites()?;
        }
        Ok(())
    }
}

pub(super) fn bad(field: &'static str, wanted: &'static str, found: String) -> EngineError {
    EngineError::Config { field, wanted, found }
}
