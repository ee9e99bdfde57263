//! The features of another stream's network, as tokens.

use tch::{Kind, Tensor};

use super::super::layer::{BuildOptions, Linear, Norm, cast, fresh};
use crate::{Result, SiteSpec, TensorExt};

/// Per site: linear(norm(feature)) + position, one token per position of the map, or one for a vector. The tokens of
/// the sites are concatenated.
#[derive(Debug)]
pub(super) struct FeatureTokens {
    sites: Vec<SiteTokens>,
}

#[derive(Debug)]
struct SiteTokens {
    name: String,
    norm: Norm,
    linear: Linear,
    /// `[token, feature]`: attention has no other notion of position.
    position: Tensor,
}

impl FeatureTokens {
    /// Tokens of `features` features, of these sites.
    pub fn new(name: &str, sites: &[SiteSpec], features: i64, init: BuildOptions) -> Result<Self> {
        let of = |spec: &SiteSpec| {
            let (name, (places, channels)) = (format!("{name}.{}", spec.site), layout(&spec.shape));
            Ok(SiteTokens {
                norm: Norm::new(&format!("{name}.norm"), channels, 1, init.device)?,
                linear: Linear::new(&format!("{name}.linear"), channels, features, 1.0, init)?,
                position: fresh(&format!("{name}.position"), &[places, features], 1.0, init.in_f32())?,
                name,
            })
        };
        Ok(FeatureTokens { sites: sites.iter().map(of).collect::<Result<_>>()? })
    }

    /// `[row, shape of the site]` each -> `[row, token, feature]`, f32.
    pub fn forward(&self, features: &[Tensor]) -> Result<Tensor> {
        let of = |(site, features): (&SiteTokens, &Tensor)| {
            let tokens = cast(&site.linear.forward(&site.norm.forward(&places(features)?)?)?, Kind::Float)?;
            tokens.try_add(&site.position)
        };
        let tokens = self.sites.iter().zip(features).map(of).collect::<Result<Vec<_>>>()?;
        Tensor::try_cat(&tokens, 1)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        for site in &self.sites {
            site.norm.list(named);
            site.linear.list(named);
            named.push((format!("{}.position", site.name), site.position.shallow_clone()));
        }
    }

    pub fn freeze(&mut self) -> Result<()> {
        for site in &mut self.sites {
            site.norm.freeze()?;
            site.linear.freeze()?;
        }
        Ok(())
    }
}

/// (positions, channels) of a site: `[feature]` has one position; `[token, feature]` one per token; `[channel, height,
/// width]`, optionally after frames, one per pixel.
fn layout(shape: &[i64]) -> (i64, i64) {
    match *shape {
        [ref frames @ .., channels, height, width] => (frames.iter().product::<i64>() * height * width, channels),
        [tokens, features] => (tokens, features),
        _ => (1, shape.iter().product()),
    }
}

/// `[row, shape of the site]` -> `[row, position, channel]`.
fn places(features: &Tensor) -> Result<Tensor> {
    let last = features.dim() as i64 - 1;
    match last {
        1 => return features.try_unsqueeze(1),
        2 => return Ok(features.shallow_clone()),
        _ => {}
    }
    features.try_movedim(last - 2, last)?.try_flatten(1, -2)
}
