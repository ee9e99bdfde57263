//! Sites: places in a network whose features can be read.

use std::fmt;

/// A site of a network. [`Architecture::sites`](crate::network::Architecture::sites) lists those of a network.
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

impl SiteSpec {
    /// The sites of a chain of blocks, all of one shape.
    pub fn of_blocks(blocks: usize, shape: &[i64]) -> Vec<SiteSpec> {
        let middle = (blocks > 0).then_some(Site::Middle);
        let sites = (0..blocks).map(Site::Block).chain(middle).chain([Site::Last]);
        sites.map(|site| SiteSpec { site, shape: shape.to_vec() }).collect()
    }

    /// The site of this name.
    pub fn named<'s>(sites: &'s [SiteSpec], name: &str) -> Option<&'s SiteSpec> {
        sites.iter().find(|spec| spec.site.to_string() == name)
    }
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
