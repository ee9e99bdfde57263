//! What travels to a worker: the order, and what it was made with.

use std::collections::BTreeMap;

use anyflow_plan::order::Order;
use serde::{Deserialize, Serialize};

use crate::error::{ClusterError, Result};
use crate::plugins;

/// Begins every payload of ours.
const MAGIC: &[u8; 8] = b"ANYFLOW\0";
/// Increases when other releases would misread a payload.
const FORMAT: u32 = 1;

/// The work of an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterJob {
    /// The order for the whole job; `None` for an empty shard without a job.
    pub order: Option<Order>,
    /// Blake3 of the job without its paths, as its maker understands it.
    pub hash: String,
    /// Hashes of the plugins, by name.
    pub plugins: BTreeMap<String, String>,
    /// What an empty shard looks at.
    pub look: Look,
}

/// What an empty shard without a job looks at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// A place to write to.
    pub reach: Option<String>,
    /// Asks `anyflow doctor` too, which starts an engine.
    pub is_full: bool,
}

impl ClusterJob {
    /// The job of an order.
    ///
    /// # Errors
    /// A plugin cannot be read.
    pub fn of(order: Order) -> Result<ClusterJob> {
        let plan = serde_json::to_value(&order.job).map_err(ClusterError::internal)?;
        let (hash, plugins) = (hash_of(&order)?, plugins::of_job(&plan)?);
        Ok(ClusterJob { order: Some(order), hash, plugins, look: Look::default() })
    }

    /// No job: an empty shard says what its worker has.
    pub fn nothing(look: Look) -> ClusterJob {
        ClusterJob { order: None, hash: String::new(), plugins: BTreeMap::new(), look }
    }

    /// The payload.
    ///
    /// # Errors
    /// [`ClusterError::Internal`].
    pub fn encode(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(ClusterError::internal)?;
        Ok([MAGIC.as_slice(), &FORMAT.to_le_bytes(), &json].concat())
    }

    /// True for bytes that [`ClusterJob::encode`] made, in any release.
    pub fn is_payload(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`ClusterError::Release`]: it has another format, or this release understands the plan otherwise.
    pub fn decode(bytes: &[u8]) -> Result<ClusterJob> {
        let release = |found: String| ClusterError::Release { found };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| release("a task is not of this program".into()))?;
        let (format, json) = rest.split_first_chunk::<4>().ok_or_else(|| release("a task ends early".into()))?;
        let format = u32::from_le_bytes(*format);
        if format != FORMAT {
            return Err(release(format!("a task has format {format}, this worker knows format {FORMAT}")));
        }
        let job: ClusterJob =
            serde_json::from_slice(json).map_err(|error| release(format!("a task cannot be read: {error}")))?;
        match &job.order {
            Some(order) if hash_of(order)? != job.hash => {
                Err(release("this worker understands the plan otherwise than the machine that started the job".into()))
            }
            _ => Ok(job),
        }
    }
}

fn hash_of(order: &Order) -> Result<String> {
    let plan = serde_json::to_vec(&order.job.without_paths()).map_err(ClusterError::internal)?;
    Ok(blake3::hash(&plan).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_another_release_is_refused() {
        let job = ClusterJob::nothing(Look { reach: Some("s3://bucket".into()), is_full: true });
        let bytes = job.encode().unwrap();
        assert!(ClusterJob::is_payload(&bytes) && !ClusterJob::is_payload(b"ballista"));
        assert_eq!(ClusterJob::decode(&bytes).unwrap(), job);
        let mut other = bytes.clone();
        other[8] = 99;
        for (bytes, found) in
            [(&other[..], "has format 99"), (&bytes[..9], "ends early"), (&bytes[..15], "cannot be read")]
        {
            let error = ClusterJob::decode(bytes).unwrap_err();
            assert!(error.code() == "cluster.release" && error.to_string().contains(found), "{error}");
        }
    }
}
