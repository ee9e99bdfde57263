//! What a network of several parts is made of, and which of them reads which.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::super::Network;
use crate::{EngineError, Result, Site};

/// The networks of a [`DualStream`](super::DualStream), and what they read of one another.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DualStreamConfig {
    /// Stream -> its network.
    pub parts: IndexMap<String, Network>,
    /// Stream -> what its network reads of another stream's.
    pub reads: IndexMap<String, Reading>,
}

/// What the network of one stream reads of another's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The other stream; its own network reads of none.
    pub stream: String,
    /// The places in its network whose features are read, by their names.
    pub sites: Vec<String>,
    /// The features of a token that they become.
    #[serde(default = "default_features")]
    pub features: i64,
    /// Whether what reads leaves the other network as it is: no gradient flows back.
    #[serde(default)]
    pub detach: bool,
}

fn default_features() -> i64 {
    64
}

impl Reading {
    /// The places.
    ///
    /// # Errors
    /// There is none, or one has a name that no place has.
    pub(super) fn places(&self) -> Result<Vec<Site>> {
        match self.sites.is_empty() {
            true => Err(bad("sites", "at least one", "none".to_string())),
            false => self.sites.iter().map(|name| name.parse()).collect(),
        }
    }
}

impl DualStreamConfig {
    /// Refuses networks within networks, and readings of which nothing can come.
    pub fn check(&self) -> Result<()> {
        for (stream, part) in &self.parts {
            if matches!(part, Network::Coupled(_) | Network::DualStream(_)) {
                return Err(bad("parts", "networks over one stream", format!("that of {stream:?}")));
            }
            part.check()?;
        }
        for (stream, reading) in &self.reads {
            let (reader, read) = (self.parts.contains_key(stream), self.parts.contains_key(&reading.stream));
            if !reader || !read || self.reads.contains_key(&reading.stream) {
                let found = format!("{stream:?} of {:?}", reading.stream);
                return Err(bad("reads", "a stream that reads, of a stream that reads nothing", found));
            }
            if reading.features < 1 {
                return Err(bad("features", "at least 1", reading.features.to_string()));
            }
            reading.places()?;
        }
        Ok(())
    }
}

pub(super) fn bad(field: &'static str, wanted: &'static str, found: String) -> EngineError {
    EngineError::Config { field, wanted, found }
}
