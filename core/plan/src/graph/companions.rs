//! Auxiliary streams of a denoiser: added into a diffused stream, or predicted from features by a head.

use anyflow_config::network::Architecture;
use anyflow_config::{self as config, Embedding, Head, HeadMisfit, Network, SiteSpec};
use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::model_graph::{Streams, latent};
use crate::problem::{Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, HeadSpec, ModelSpec, unknown};

problems! {
    /// What can be wrong with auxiliary streams.
    pub(crate) enum AuxiliaryProblem {
        /// Two streams of a denoiser add the same auxiliary stream.
        /// Example: `aggregate: {label: {}}` of the streams `x` and `y` of one denoiser.
        /// Cure: Remove one of the two.
        #[error(
            "`aggregate` of stream `{stream}` adds `{auxiliary}`, but another stream of denoiser `{denoiser}` adds it already"
        )]
        AggregatedTwice { stream: String, auxiliary: String, denoiser: String },
        /// `reads` of a head is not of the form `denoiser.site`.
        /// Example: `reads: middle`.
        /// Cure: Write the denoiser, a dot, and a site of its network.
        #[error("`{text}` is not of the form `denoiser.site`, for example `digits.middle`")]
        NotASite { text: String },
        /// A stream is both diffused by a denoiser and its auxiliary stream.
        /// Example: `over: [x, label]` with a head that predicts `label` from features of this denoiser.
        /// Cure: Remove the stream from `over`, or remove the head or `aggregate`.
        #[error("stream `{stream}` is diffused by denoiser `{denoiser}` and cannot be its auxiliary stream")]
        DiffusedAuxiliary { stream: String, denoiser: String },
        /// A head cannot predict its stream from the features that it reads.
        /// Example: A head with `network: {kind: conv}` that reads features of another size than its stream has.
        /// Cure: Read another site, or change `network` or `loss` of the head.
        #[error("a head cannot predict stream `{stream}` {target:?} from `{site}` {features:?}: {reason}")]
        HeadShape { stream: String, target: Vec<i64>, site: String, features: Vec<i64>, reason: &'static str },
    }
}

/// The auxiliary streams of a denoiser.
pub(super) struct Auxiliary {
    pub names: Vec<String>,
    /// Their part of the plan; `None` if one is wrong, which was reported.
    pub plan: Option<IndexMap<String, config::Auxiliary>>,
}

/// Resolves the auxiliary streams of a denoiser.
pub(super) fn of_denoiser(
    denoiser: &DenoiserSpec,
    model: &ModelSpec,
    streams: &Streams,
    report: &mut Report,
) -> Auxiliary {
    let diffuses = |name: &str| denoiser.over.iter().any(|stream| stream.value == name);
    let mut companions = IndexMap::<String, config::Auxiliary>::new();
    let mut good = true;
    for stream in model.streams.iter().filter(|stream| diffuses(&stream.name.value)) {
        for aggregate in &stream.aggregates {
            let name = &aggregate.companion;
            good &= streams.contains_key(&name.value) && is_auxiliary(name, denoiser, report);
            let companion = companions.entry(name.value.clone()).or_default();
            if companion.aggregate.is_some() {
                let problem = AuxiliaryProblem::AggregatedTwice {
                    stream: stream.name.value.clone(),
                    auxiliary: name.value.clone(),
                    denoiser: denoiser.name.value.clone(),
                };
                report.error(name.span, problem);
                good = false;
            }
            good &= aggregate.aggregation.is_some();
            let into = &stream.name.value;
            let embedding = |aggregation| Embedding { aggregation, into: into.clone() };
            companion.aggregate = aggregate.aggregation.clone().map(embedding);
        }
    }
    for head in &model.heads {
        good &= reads_one(head, model);
        let Some((_, site)) = read_of(head, &denoiser.name.value) else { continue };
        good &= streams.contains_key(&head.companion.value) && is_auxiliary(&head.companion, denoiser, report);
        good &= fits(head, site, denoiser, streams, report);
        good &= head.head.is_some();
        let planned = head.head.clone().map(|keys| Head { reads: site.to_string(), ..keys });
        companions.entry(head.companion.value.clone()).or_default().head = planned;
    }
    let names = companions.keys().filter(|name| streams.contains_key(*name) && !diffuses(name)).cloned().collect();
    Auxiliary { names, plan: good.then_some(companions) }
}

/// Checks that do not depend on the denoiser.
pub(super) fn check(model: &ModelSpec, streams: &Streams, report: &mut Report) {
    let aggregated = model.streams.iter().flat_map(|stream| &stream.aggregates).map(|aggregate| &aggregate.companion);
    for name in aggregated.chain(model.heads.iter().map(|head| &head.companion)) {
        if !streams.contains_key(&name.value) {
            unknown("stream", name, streams.keys().map(String::as_str), report);
        }
    }
    for reads in model.heads.iter().filter_map(|head| head.reads.as_ref()) {
        let known = model.denoisers.iter().map(|denoiser| denoiser.name.value.as_str());
        match reads.value.split_once('.') {
            Some((denoiser, _)) if known.clone().any(|name| name == denoiser) => {}
            Some((denoiser, _)) => {
                unknown("denoiser", &SpannedString::new(denoiser.to_string(), reads.span), known, report);
            }
            None => {
                report.error(reads.span, AuxiliaryProblem::NotASite { text: reads.value.clone() });
            }
        }
    }
}

/// The denoiser and the site that a head reads, if it reads this denoiser.
fn read_of<'h>(head: &'h HeadSpec, denoiser: &str) -> Option<(&'h str, &'h str)> {
    head.reads.as_ref()?.value.split_once('.').filter(|(of, _)| *of == denoiser)
}

/// True if the head reads any denoiser of the model. If not, the meant denoiser is unknown.
fn reads_one(head: &HeadSpec, model: &ModelSpec) -> bool {
    model.denoisers.iter().any(|denoiser| read_of(head, &denoiser.name.value).is_some())
}

fn is_auxiliary(name: &SpannedString, denoiser: &DenoiserSpec, report: &mut Report) -> bool {
    let diffused = denoiser.over.iter().find(|stream| stream.value == name.value);
    if let Some(over) = diffused {
        let stream = name.value.clone();
        let denoiser = denoiser.name.value.clone();
        let problem = AuxiliaryProblem::DiffusedAuxiliary { stream, denoiser };
        report.error_with(name.span, problem, over.span, "diffused here");
    }
    diffused.is_none()
}

/// True if the site exists and the head can predict its stream there. Parts with errors of their own are skipped.
fn fits(head: &HeadSpec, site: &str, denoiser: &DenoiserSpec, streams: &Streams, report: &mut Report) -> bool {
    let over: Option<Vec<_>> = denoiser.over.iter().map(|stream| latent(streams, &stream.value)).collect();
    let (Some(over), Some(network), Some(reads)) = (over, &denoiser.network, &head.reads) else { return true };
    let sites = match network {
        Network::Part(part) => part.sites(&over),
        Network::Coupled(_) | Network::DualStream(_) => Vec::new(),
    };
    let Some(SiteSpec { shape: features, .. }) = SiteSpec::named(&sites, site) else {
        let owner = format!("the network of denoiser `{}`", denoiser.name.value);
        let known: Vec<String> = sites.iter().map(|spec| spec.site.to_string()).collect();
        let hint = Hint::among(site, known.iter().map(String::as_str));
        report.error(reads.span, Problem::NotThere { owner, what: "site".into(), name: site.into(), hint });
        return false;
    };
    let (Some(keys), Some(target)) = (&head.head, latent(streams, &head.companion.value)) else { return true };
    let reason = match keys.misfit(features, target) {
        None => return true,
        Some(HeadMisfit::Loss) => "`cross-entropy` needs a latent [class]; use `mse`",
        Some(HeadMisfit::Size) => "`conv` needs features and a stream of the same height and width",
        Some(HeadMisfit::Axes) => "features with four axes cannot be read; name another site",
    };
    let target = target.to_vec();
    let stream = head.companion.value.clone();
    let site = reads.value.clone();
    let problem = AuxiliaryProblem::HeadShape { stream, target, site, features: features.clone(), reason };
    report.error(head.companion.span, problem);
    false
}
