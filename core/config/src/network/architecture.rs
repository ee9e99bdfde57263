//! The facts about a network that need no tensor. Each kind states its own, in a file of its own.

use indexmap::IndexMap;

use super::{Network, Part};
use crate::SiteSpec;

/// The facts about a network over one or several streams. A shape is that of one row of a stream.
pub trait Architecture {
    /// The sites whose features can be read, for streams of these shapes; none by default.
    fn sites(&self, _streams: &[&[i64]]) -> Vec<SiteSpec> {
        Vec::new()
    }

    /// The keys whose values do not fit the others; `attends` is true if the network attends to a prompt or to other
    /// streams.
    fn misfits(&self, _attends: bool) -> Vec<Misfit> {
        Vec::new()
    }

    /// The streams that it needs, in words, if it cannot take a stream of this shape next to a first stream of that
    /// shape.
    fn needs(&self, _shape: &[i64], _first: &[i64]) -> Option<String> {
        None
    }

    /// True if it can attend to tokens, of a prompt or of other streams.
    fn can_attend(&self) -> bool {
        true
    }

    /// True if vectors can join the embedding of its time.
    fn takes_vectors(&self) -> bool {
        false
    }

    /// True if planes, which are never diffused, can be concatenated to the channels of its streams.
    fn takes_planes(&self) -> bool {
        false
    }
}

/// A value that does not fit the other values of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The allowed values, in words.
    pub bound: String,
}

impl Misfit {
    /// The misfit of a key that must divide the value of another key, if it does not.
    pub(super) fn of_divisor(key: &str, value: i64, whole: &str, sum: i64) -> Option<Misfit> {
        let bound = format!("a divisor of `{whole}` = {sum}");
        (sum % value.max(1) != 0).then(|| Misfit { key: key.into(), value: value.to_string(), bound })
    }
}

/// A network within a network, and what it attends to.
#[derive(Clone, Copy, Debug)]
pub struct PartUse<'n> {
    /// Its stream; `None` for all streams of the denoiser.
    pub stream: Option<&'n str>,
    /// The network.
    pub part: &'n Part,
    /// True if it attends to other streams.
    pub reads_streams: bool,
    /// True if it attends to the prompt, if there is one.
    pub reads_prompt: bool,
}

impl Network {
    /// The network itself, or those of its streams.
    pub fn parts(&self) -> Vec<PartUse<'_>> {
        match self {
            Network::Part(part) => vec![PartUse { stream: None, part, reads_streams: false, reads_prompt: true }],
            Network::Coupled(coupled) => of_streams(&coupled.parts, |_| true, |_| true),
            Network::DualStream(dual) => {
                let reads = |stream: &str| dual.reads.contains_key(stream);
                of_streams(&dual.parts, reads, |stream| !reads(stream))
            }
        }
    }

    /// The network over all streams; `None` if each stream has its own, and none takes vectors or planes.
    pub fn whole(&self) -> Option<&Part> {
        match self {
            Network::Part(part) => Some(part),
            Network::Coupled(_) | Network::DualStream(_) => None,
        }
    }

    /// The keys whose values do not fit the others; `prompted` is true for a denoiser with prompts.
    pub fn misfits(&self, prompted: bool) -> Vec<Misfit> {
        let of = |part: PartUse<'_>| {
            let misfits = part.part.misfits(part.reads_streams || (part.reads_prompt && prompted));
            let place = part.stream.map_or(String::new(), |stream| format!("parts.{stream}."));
            misfits.into_iter().map(move |misfit| Misfit { key: format!("{place}{}", misfit.key), ..misfit })
        };
        self.parts().into_iter().flat_map(of).collect()
    }
}

fn of_streams(
    parts: &IndexMap<String, Part>,
    reads_streams: impl Fn(&str) -> bool,
    reads_prompt: impl Fn(&str) -> bool,
) -> Vec<PartUse<'_>> {
    let of = |(stream, part)| {
        let name = String::as_str(stream);
        PartUse { stream: Some(name), part, reads_streams: reads_streams(name), reads_prompt: reads_prompt(name) }
    };
    parts.iter().map(of).collect()
}
