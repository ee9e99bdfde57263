//! The facts about a transformer.

use super::{Architecture, Misfit, Transformer};
use crate::SiteSpec;

/// How a transformer splits a stream: a vector is one token, each row of `[token, feature]` is one token, and of maps,
/// with or without frames, each square of `patch` by `patch` positions is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatchLayout {
    /// The tokens of a row.
    pub tokens: i64,
    /// The numbers of a token.
    pub features: i64,
    /// Of a map: frames, channels, patches down and across, and the side of a patch.
    pub map: Option<[i64; 5]>,
}

impl PatchLayout {
    /// `None` if the patches do not fill the map, or the stream has other axes.
    pub fn new(shape: &[i64], patch: i64) -> Option<Self> {
        let map = |frames, channels, height: i64, width: i64| {
            let fits = height % patch == 0 && width % patch == 0;
            let down = height / patch;
            let across = width / patch;
            let tokens = frames * down * across;
            let features = channels * patch * patch;
            fits.then_some(PatchLayout { tokens, features, map: Some([frames, channels, down, across, patch]) })
        };
        match *shape {
            [features] => Some(PatchLayout { tokens: 1, features, map: None }),
            [tokens, features] => Some(PatchLayout { tokens, features, map: None }),
            [channels, height, width] => map(1, channels, height, width),
            [frames, channels, height, width] => map(frames, channels, height, width),
            _ => None,
        }
    }
}

impl Architecture for Transformer {
    fn sites(&self, streams: &[&[i64]]) -> Vec<SiteSpec> {
        let tokens = streams.iter().filter_map(|shape| PatchLayout::new(shape, self.patch)).map(|layout| layout.tokens);
        SiteSpec::of_blocks(self.blocks, &[tokens.sum(), self.width])
    }

    fn misfits(&self, _attends: bool) -> Vec<Misfit> {
        let heads = Misfit::of_divisor("num_attention_heads", self.num_attention_heads, "width", self.width);
        let odd = (self.width % 2 != 0).then(|| Misfit {
            key: "width".into(),
            value: self.width.to_string(),
            bound: "even".into(),
        });
        heads.into_iter().chain(odd).collect()
    }

    fn needs(&self, shape: &[i64], _first: &[i64]) -> Option<String> {
        match (PatchLayout::new(shape, self.patch), shape.len()) {
            (Some(_), _) => None,
            (None, 3 | 4) => Some(format!("a height and a width that `patch` = {} divides", self.patch)),
            _ => Some("streams with one to four axes".into()),
        }
    }
}
