//! Rule: a network that attends to the features of another network names sites of that network.

use anyflow_config::network::{Architecture, DualStream, FeatureReading, Part};
use anyflow_config::{Network, SiteSpec};

use crate::error::Report;
use crate::graph::model::{Streams, latent};
use crate::problem::{Hint, Problem};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, unknown};

/// Checks that every part of a network can attend to what it must, and that `reads` names parts and sites, if there are
/// any.
pub(crate) fn check(network: &Network, spec: &DenoiserSpec, streams: &Streams, report: &mut Report) {
    let prompted = !spec.prompts.is_empty();
    for part in network.parts().into_iter().filter(|part| !part.part.can_attend()) {
        let kind = part.part.name();
        let text = match part.stream {
            Some(stream) if part.reads_streams => {
                format!("`parts.{stream}`: a `{kind}` cannot attend to another stream; use another network")
            }
            _ if part.reads_prompt && prompted => {
                let owner = &spec.name.value;
                format!("denoiser `{owner}` has prompts, but a `{kind}` cannot attend to them; use another network")
            }
            _ => continue,
        };
        report.error(spec.name.span, Problem::Impossible { text });
    }
    if let Network::DualStream(dual) = network {
        dual.reads.iter().for_each(|(reader, reading)| check_reading(reader, reading, dual, spec, streams, report));
    }
}

fn check_reading(
    reader: &str,
    reading: &FeatureReading,
    DualStream { parts, reads }: &DualStream,
    spec: &DenoiserSpec,
    streams: &Streams,
    report: &mut Report,
) {
    let trunk = reading.stream.as_str();
    for stream in [reader, trunk].into_iter().filter(|stream| !parts.contains_key(*stream)) {
        let name = SpannedString::new(stream.to_string(), spec.name.span);
        unknown("part", &name, parts.keys().map(String::as_str), report);
    }
    if reads.contains_key(trunk) {
        let text = if reader == trunk {
            format!("`reads`: `{reader}` cannot read itself; name another stream")
        } else {
            format!("`reads` cannot be chained: `{reader}` reads `{trunk}`, which reads another stream")
        };
        report.error(spec.name.span, Problem::Impossible { text });
    }
    if let (Some(part), Some(shape)) = (parts.get(trunk), latent(streams, trunk)) {
        check_sites(part, shape, reading, spec, report);
    }
}

/// Checks the sites in a network over a stream of this shape; a shape that the network cannot take is reported elsewhere.
fn check_sites(trunk: &Part, shape: &[i64], reading: &FeatureReading, spec: &DenoiserSpec, report: &mut Report) {
    if trunk.needs(shape, shape).is_some() {
        return;
    }
    let sites = trunk.sites(&[shape]);
    let known: Vec<String> = sites.iter().map(|spec| spec.site.to_string()).collect();
    if reading.sites.is_empty() {
        let text = format!("`sites` must list at least one site of `{}`: {}", reading.stream, known.join(", "));
        report.error(spec.name.span, Problem::Impossible { text });
    }
    for name in reading.sites.iter().filter(|name| SiteSpec::named(&sites, name).is_none()) {
        let owner = format!("the network of `{}`", reading.stream);
        let hint = Hint::among(name, known.iter().map(String::as_str));
        report.error(spec.name.span, Problem::NotThere { owner, what: "site".into(), name: name.clone(), hint });
    }
}
