//! The facts about a U-Net.

use super::{Architecture, Misfit, Unet};
use crate::{Site, SiteSpec};

impl Unet {
    /// The number of levels.
    pub fn levels(&self) -> usize {
        self.block_out_channels.len()
    }

    /// True if a level has attention.
    pub fn attends(&self, level: usize) -> bool {
        at(&self.attention, level).copied().unwrap_or(false)
    }

    /// The transformer layers after each residual block of a level.
    pub fn transformer_layers(&self, level: usize) -> usize {
        at(&self.transformer_layers_per_block, level).copied().unwrap_or(1)
    }

    /// The attention heads of a level.
    pub fn heads(&self, level: usize) -> i64 {
        at(&self.num_attention_heads, level).copied().unwrap_or(1)
    }

    /// The site after the layers of a level on the way up, counted from the coarsest level.
    pub fn up_site(&self, index: usize) -> Site {
        if index + 1 == self.levels() { Site::Last } else { Site::Up(index) }
    }

    fn misfit_of_heads(&self) -> Option<Misfit> {
        let (level, channels) = self.block_out_channels.iter().enumerate().find(|(level, channels)| {
            let attends = self.attends(*level) || self.temporal || level + 1 == self.levels();
            attends && *channels % self.heads(*level).max(1) != 0
        })?;
        let bound = format!("a divisor of the channels of every level with attention, including {channels}");
        Some(Misfit { key: "num_attention_heads".into(), value: self.heads(level).to_string(), bound })
    }
}

/// The value for all levels, or that of the level.
fn at<T>(list: &[T], level: usize) -> Option<&T> {
    list.get(if list.len() == 1 { 0 } else { level })
}

impl Architecture for Unet {
    /// Each level is half as large as the one above it.
    fn sites(&self, streams: &[&[i64]]) -> Vec<SiteSpec> {
        let Some([frames @ .., _, height, width]) = streams.first() else { return Vec::new() };
        let Some(last) = self.levels().checked_sub(1) else { return Vec::new() };
        let halved = |side: i64, times: usize| (0..times).fold(side, |side, _| (side + 1) / 2);
        let spec = |site, level: usize| {
            let map = [self.block_out_channels[level], halved(*height, level), halved(*width, level)];
            SiteSpec { site, shape: frames.iter().copied().chain(map).collect() }
        };
        let down = (0..=last).map(|level| spec(Site::Down(level), level));
        let up = (0..=last).map(|index| spec(self.up_site(index), last - index));
        down.chain([spec(Site::Middle, last)]).chain(up).collect()
    }

    fn misfits(&self, _attends: bool) -> Vec<Misfit> {
        let channels = &self.block_out_channels;
        if channels.first().is_none_or(|first| first % 2 != 0) {
            let bound = "a list with a number per level, the first one even".into();
            return vec![Misfit { key: "block_out_channels".into(), value: format!("{channels:?}"), bound }];
        }
        let mut misfits = Vec::new();
        for (key, count) in [
            ("attention", self.attention.len()),
            ("num_attention_heads", self.num_attention_heads.len()),
            ("transformer_layers_per_block", self.transformer_layers_per_block.len()),
        ] {
            if ![1, channels.len()].contains(&count) {
                let bound = format!("one value for all {} levels, or one per level", channels.len());
                misfits.push(Misfit { key: key.into(), value: format!("{count} values"), bound });
            }
        }
        let groups = self.norm_num_groups;
        if let Some(level) = channels.iter().find(|channels| *channels % groups.max(1) != 0) {
            let bound = format!("a divisor of the channels of every level, including {level}");
            misfits.push(Misfit { key: "norm_num_groups".into(), value: groups.to_string(), bound });
        }
        misfits.into_iter().chain(self.misfit_of_heads()).collect()
    }

    fn needs(&self, shape: &[i64], first: &[i64]) -> Option<String> {
        if self.temporal && shape.len() != 4 {
            return Some("streams [frame, channel, height, width], since it is `temporal`".into());
        }
        let is_odd = Size::of(shape).is_none() || Size::of(shape) != Size::of(first);
        is_odd.then(|| "streams of equal size, [channel, height, width] or [frame, channel, height, width]".into())
    }

    fn takes_vectors(&self) -> bool {
        true
    }

    fn takes_planes(&self) -> bool {
        true
    }
}

/// The sizes that the streams have in common.
#[derive(PartialEq)]
struct Size {
    frames: Option<i64>,
    height: i64,
    width: i64,
}

impl Size {
    fn of(shape: &[i64]) -> Option<Size> {
        match *shape {
            [_, height, width] => Some(Size { frames: None, height, width }),
            [frames, _, height, width] => Some(Size { frames: Some(frames), height, width }),
            _ => None,
        }
    }
}
