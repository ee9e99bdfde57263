//! Streams that a denoiser has beside those that it diffuses: added into one of them, or read from its features.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::error::Report;
use crate::graph::StreamNode;
use crate::graph::sites::sites;
use crate::plan::Companion;
use crate::problem::{Hint, Problem};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, HeadSpec, ModelSpec, unknown};

type Streams<'a> = IndexMap<String, StreamNode<'a>>;

/// The companions of a denoiser by name, and what the plan says of them: `None` if one is wrong, which was reported.
pub(super) fn of_denoiser(
    denoiser: &DenoiserSpec,
    model: &ModelSpec,
    streams: &Streams,
    report: &mut Report,
) -> (Vec<String>, Option<IndexMap<String, Companion>>) {
    let diffuses = |name: &str| denoiser.over.iter().any(|stream| stream.value == name);
    let (mut companions, mut good) = (IndexMap::<String, Companion>::new(), true);
    for stream in model.streams.iter().filter(|stream| diffuses(&stream.name.value)) {
        for aggregate in &stream.aggregates {
            let name = &aggregate.companion;
            good &= streams.contains_key(&name.value) && is_beside(name, denoiser, report);
            let companion = companions.entry(name.value.clone()).or_default();
            if companion.aggregate.is_some() {
                let what = format!("`aggregate` of stream `{}`", stream.name.value);
                let reason = format!("adds `{}`, which another stream of `{}` adds", name.value, denoiser.name.value);
                report.error(name.span, Problem::Impossible { what, reason });
                good = false;
            }
            let mut keys = aggregate.keys.clone();
            keys.iter_mut().for_each(|keys| drop(keys.insert("into".into(), Json::from(stream.name.value.clone()))));
            good &= keys.is_some();
            companion.aggregate = keys.map(Json::Object);
        }
    }
    for head in &model.heads {
        good &= reads_one(head, model);
        let Some((_, site)) = read_of(head, &denoiser.name.value) else { continue };
        good &= streams.contains_key(&head.companion.value) && is_beside(&head.companion, denoiser, report);
        good &= fits(head, site, denoiser, streams, report);
        let mut keys = head.keys.clone();
        keys.iter_mut().for_each(|keys| drop(keys.insert("reads".into(), Json::from(site))));
        good &= keys.is_some();
        companions.entry(head.companion.value.clone()).or_default().head = keys.map(Json::Object);
    }
    let names = companions.keys().filter(|name| streams.contains_key(*name) && !diffuses(name)).cloned().collect();
    (names, good.then_some(companions))
}

/// What is wrong with companions whatever denoiser they are tied to.
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
                let reason = "is not `denoiser.site`, such as `digits.middle`".into();
                report.error(reads.span, Problem::Impossible { what: format!("`{}`", reads.value), reason });
            }
        }
    }
}

/// Denoiser and site that a head reads, if it reads this denoiser.
fn read_of<'h>(head: &'h HeadSpec, denoiser: &str) -> Option<(&'h str, &'h str)> {
    head.reads.as_ref()?.value.split_once('.').filter(|(of, _)| *of == denoiser)
}

/// Whether a head reads some denoiser; which one it was meant to read is not known else.
fn reads_one(head: &HeadSpec, model: &ModelSpec) -> bool {
    model.denoisers.iter().any(|denoiser| read_of(head, &denoiser.name.value).is_some())
}

fn is_beside(name: &SpannedString, denoiser: &DenoiserSpec, report: &mut Report) -> bool {
    let diffused = denoiser.over.iter().find(|stream| stream.value == name.value);
    if let Some(over) = diffused {
        let what = format!("stream `{}`", name.value);
        let reason = format!("is diffused by denoiser `{}`, so that it cannot be its companion", denoiser.name.value);
        report.error_with(name.span, Problem::Impossible { what, reason }, over.span, "diffused here");
    }
    diffused.is_none()
}

/// Whether the site exists and the head can read its stream there. Parts with errors of their own are not blamed.
fn fits(head: &HeadSpec, site: &str, denoiser: &DenoiserSpec, streams: &Streams, report: &mut Report) -> bool {
    let latent = |name: &str| Some(streams.get(name)?.plan.as_ref()?.latent.clone());
    let over: Option<Vec<_>> = denoiser.over.iter().map(|stream| latent(&stream.value)).collect();
    let (Some(over), Some(network), Some(reads)) = (over, &denoiser.network, &head.reads) else { return true };
    let sites = sites(network, &over);
    let Some((_, features)) = sites.iter().find(|(name, _)| name == site) else {
        let (owner, what) = (format!("the network of denoiser `{}`", denoiser.name.value), "site".into());
        let hint = Hint::among(site, sites.iter().map(|(name, _)| name.as_str()));
        report.error(reads.span, Problem::NotThere { owner, what, name: site.into(), hint });
        return false;
    };
    let (Some(keys), Some(target)) = (&head.keys, latent(&head.companion.value)) else { return true };
    let is_map = keys["network"]["kind"] == "conv";
    let reason = match (features.as_slice(), target.as_slice()) {
        (_, [_, _, ..]) if keys["loss"] == "cross-entropy" => {
            format!("is told by cross-entropy, so that its latent must be [class]; it is {target:?}")
        }
        ([_, height, width], [_, rows, columns]) if is_map && (height, width) == (rows, columns) => return true,
        _ if is_map => {
            format!("is read by `conv` from maps of its own size; `{}` is {features:?}, it is {target:?}", reads.value)
        }
        ([_, _, _, _, ..], _) => format!("cannot be read from `{}`, which is {features:?}", reads.value),
        _ => return true,
    };
    let what = format!("stream `{}`", head.companion.value);
    report.error(head.companion.span, Problem::Impossible { what, reason });
    false
}
