//! Sites: places in a network whose features can be read.

use std::fmt;
use std::str::FromStr;

use tch::Tensor;

use crate::{EngineError, Result, TensorExt};

/// A site of a network. [`Denoiser::sites`](crate::Denoiser::sites) lists those of a network.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Site {
    /// `down.0` ...: after the layers of a level on the way down, before downsampling.
    Down(usize),
    /// `middle`: after the middle block of a U-Net, or after half of the blocks.
    Middle,
    /// `up.0` ...: after the layers of a level on the way up, before upsampling; the last of them is `last`.
    Up(usize),
    /// `block.0` ...: after a block.
    Block(usize),
    /// `last`: the input of the output norm.
    Last,
}

/// A site of a network and the shape of its features.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteSpec {
    /// The site.
    pub site: Site,
    /// The shape of one row of features: `[feature]`, `[token, feature]` or `[channel, height, width]`, after a `frame`
    /// axis if the streams have frames.
    pub shape: Vec<i64>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Site::Down(index) => write!(f, "down.{index}"),
            Site::Middle => f.write_str("middle"),
            Site::Up(index) => write!(f, "up.{index}"),
            Site::Block(index) => write!(f, "block.{index}"),
            Site::Last => f.write_str("last"),
        }
    }
}

impl FromStr for Site {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self> {
        let known = || ["down.0", "middle", "up.0", "block.0", "last"].map(str::to_string).to_vec();
        let unknown = || EngineError::Unknown { what: "site", name: name.to_string(), known: known() };
        let Some((kind, index)) = name.split_once('.') else {
            return match name {
                "middle" => Ok(Site::Middle),
                "last" => Ok(Site::Last),
                _ => Err(unknown()),
            };
        };
        let index = index.parse().map_err(|_| unknown())?;
        match kind {
            "down" => Ok(Site::Down(index)),
            "up" => Ok(Site::Up(index)),
            "block" => Ok(Site::Block(index)),
            _ => Err(unknown()),
        }
    }
}

/// Collects the features of the requested sites.
pub(crate) struct Reader<'a> {
    wanted: &'a [Site],
    found: Vec<Option<Tensor>>,
}

impl<'a> Reader<'a> {
    /// Rejects sites that the network does not have.
    pub fn new(wanted: &'a [Site], sites: impl FnOnce() -> Vec<SiteSpec>) -> Result<Self> {
        if !wanted.is_empty() {
            let known: Vec<Site> = sites().into_iter().map(|spec| spec.site).collect();
            if let Some(site) = wanted.iter().find(|site| !known.contains(site)) {
                let known = known.iter().map(Site::to_string).collect();
                return Err(EngineError::Unknown { what: "site", name: site.to_string(), known });
            }
        }
        Ok(Reader { wanted, found: wanted.iter().map(|_| None).collect() })
    }

    /// Offers the features of a site. They are copied if the network may write to them later.
    pub fn offer(&mut self, site: Site, features: &Tensor) -> Result<()> {
        for (wanted, found) in self.wanted.iter().zip(&mut self.found) {
            if *wanted == site {
                let is_recorded = features.requires_grad();
                *found = Some(if is_recorded { features.shallow_clone() } else { features.try_detach_copy()? });
            }
        }
        Ok(())
    }

    /// The features in the requested order.
    pub fn features(self) -> Vec<Tensor> {
        self.found.into_iter().flatten().collect()
    }
}
