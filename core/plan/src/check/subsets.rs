//! The tasks that `subsets` stands for: all judged streams together, and the others given each proper subset of them.

use indexmap::IndexMap;

use crate::check::{guidance, tables};
use crate::error::Report;
use crate::graph::{ModelGraph, StreamLists};
use crate::plan::Task;
use crate::problem::Problem;
use crate::spec::EvaluationSpec;

/// With more streams there would be more tasks than anybody reads.
const MOST: usize = 8;

/// Adds every subset that no task asks already, in the order of the model: first `joint`, then `a-to-b+c` by the number
/// of streams that are given.
pub(crate) fn add(
    tasks: &mut IndexMap<String, Task>,
    spec: &EvaluationSpec,
    denoiser: &str,
    model: &ModelGraph,
    report: &mut Report,
) {
    let Some((over, _)) = model.denoisers.get(denoiser) else { return };
    let judge = |stream: &String| spec.judges.iter().find(|judge| judge.stream.value == *stream);
    let streams: Vec<&String> =
        model.streams.keys().filter(|stream| over.contains(stream) && judge(stream).is_some()).collect();
    for stream in &streams {
        if let (Some(judge), Some(table)) = (judge(stream), &spec.data)
            && !tables::names(table, stream, model)
        {
            tables::missing("data", &format!("stream `{stream}`"), "`subsets`", &judge.stream, report);
        }
    }
    if streams.is_empty() || streams.len() > MOST {
        let reason = format!("needs 1 to {MOST} judged streams, but there are {}", streams.len());
        let at = spec.subsets.unwrap_or(spec.span);
        return report.error(at, Problem::Impossible { what: "`subsets`".into(), reason });
    }
    let others = over.iter().filter(|stream| !streams.contains(stream)).cloned();
    let (absent, along): (Vec<_>, Vec<_>) = others.partition(|stream| model.is_only_given(denoiser, stream));
    let mut given: Vec<u32> = (0..(1 << streams.len()) - 1).collect();
    // The first stream is the lowest bit, and is to be given first.
    given.sort_by_key(|set| (set.count_ones(), std::cmp::Reverse(set.reverse_bits())));
    for set in given {
        let part = |inside: bool| {
            let chosen = streams.iter().enumerate().filter(|(index, _)| (set >> index & 1 == 1) == inside);
            chosen.map(|(_, stream)| (*stream).clone()).collect::<Vec<_>>()
        };
        let (observe, generate) = (part(true), part(false));
        if tasks.values().any(|task| asks(task, &observe, &generate)) {
            continue;
        }
        let name = match observe.is_empty() {
            true => "joint".to_string(),
            false => format!("{}-to-{}", observe.join("+"), generate.join("+")),
        };
        if let Some(written) = spec.tasks.iter().find(|task| task.name.value == name) {
            let reason = "is the name of another task that `subsets` stands for".into();
            report.error(written.name.span, Problem::BadName { name, reason });
            continue;
        }
        let lists =
            StreamLists { generate, observe, along: along.clone(), absent: absent.clone(), ..StreamLists::default() };
        let shared = spec.guidance.as_ref().filter(|shared| guidance::applies(shared, &lists));
        let (guidance, given) = (shared.map(|shared| shared.json.clone()), spec.given.unwrap_or_default());
        let StreamLists { generate, observe, along, absent, .. } = lists;
        tasks.insert(name, Task { generate, along, observe, absent, guidance, given, ..Task::default() });
    }
}

fn asks(task: &Task, observe: &[String], generate: &[String]) -> bool {
    let same = |a: &[String], b: &[String]| a.len() == b.len() && a.iter().all(|stream| b.contains(stream));
    same(&task.observe, observe)
        && same(&task.generate, generate)
        && task.absent.is_empty()
        && task.condition.is_empty()
}
