//! The figures of an evaluation as tables, for the terminal and the page.

use anyflow_plan::findings::{Answer, Distance, Figure, Findings, Fit, Mixture, Nearness, TaskFindings, Truth};

use super::provenance::kind_first;
use crate::progress::significant;

/// A table of texts with a title.
pub struct Grid {
    /// Its title.
    pub title: &'static str,
    /// The head, then the rows.
    pub rows: Vec<Vec<String>>,
}

/// All tables as text.
pub fn text(findings: &Findings) -> String {
    let part = |grid: Grid| format!("{}\n{}\n", grid.title, crate::command::table(&grid.rows));
    std::iter::once(coherence(findings)).chain(details(findings)).map(part).collect()
}

/// Coherence: a row per task, a column per variant.
fn coherence(findings: &Findings) -> Grid {
    let variants = findings.variants.keys().cloned();
    let mut rows = vec![["task", "at least"].map(String::from).into_iter().chain(variants).collect::<Vec<_>>()];
    for (name, task) in &findings.tasks {
        let mut row = vec![name.clone(), target(task)];
        row.extend(task.variants.values().enumerate().map(|(index, answer)| {
            format!("{}{}", share(&answer.coherence), if index == 0 { mark(task) } else { "" })
        }));
        rows.push(row);
    }
    Grid { title: "coherence", rows }
}

/// All tables but that of coherence, without empty ones.
pub fn details(findings: &Findings) -> Vec<Grid> {
    let all = [
        joint(findings),
        conflicts(findings),
        recalls(findings),
        streams(findings),
        variants(findings),
        references(findings),
    ];
    all.into_iter().filter(|grid| grid.rows.len() > 1).collect()
}

/// How well jointly generated streams agree, next to the same streams generated separately.
fn joint(findings: &Findings) -> Grid {
    let head = ["task", "variant", "agreement", "independent", "similarity", "independent"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (task, found) in &findings.tasks {
        for (variant, answer) in &found.variants {
            let Some(together) = &answer.joint else { continue };
            let apart = answer.independent.as_ref();
            let similarity = |fit: &Fit| fit.similarity.as_ref().map(plain);
            rows.push(vec![
                task.clone(),
                variant.clone(),
                share(&together.agreement),
                apart.map(|fit| share(&fit.agreement)).unwrap_or_default(),
                similarity(together).unwrap_or_default(),
                apart.and_then(similarity).unwrap_or_default(),
            ]);
        }
    }
    if findings.variants.len() < 2 {
        rows.iter_mut().for_each(|row| drop(row.remove(1)));
    }
    Grid { title: "generated together", rows }
}

/// Classes generated from two conflicting prompts, by the weight of the second.
fn conflicts(findings: &Findings) -> Grid {
    let first = findings.conflicts.values().flat_map(|conflict| conflict.variants.values()).flatten().next();
    let weights = first.iter().flat_map(|(_, mixtures)| mixtures.iter().map(|mixture| significant(mixture.weight)));
    let head = ["conflict", "stream", "variant", "class of"].map(String::from);
    let mut rows = vec![head.into_iter().chain(weights).collect::<Vec<_>>()];
    for (name, conflict) in &findings.conflicts {
        for (variant, streams) in &conflict.variants {
            for (stream, mixtures) in streams {
                let of: [fn(&Mixture) -> &Figure; 2] = [|mixture| &mixture.first, |mixture| &mixture.second];
                for (prompt, of) in conflict.between.iter().zip(of) {
                    let mut row = vec![name.clone(), stream.clone(), variant.clone(), prompt.clone()];
                    row.extend(mixtures.iter().map(|mixture| percent(of(mixture).mean)));
                    rows.push(row);
                }
            }
        }
    }
    if findings.variants.len() < 2 {
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
    }
    Grid { title: "conflicting prompts, by the weight of the second", rows }
}

/// Shares of rows that are identified by their predicted value.
fn recalls(findings: &Findings) -> Grid {
    let mut rows =
        vec![["task", "figure"].map(String::from).into_iter().chain(findings.variants.keys().cloned()).collect()];
    for (name, task) in &findings.tasks {
        let figures = task.variants.values().next().into_iter().flat_map(|answer| answer.recall.keys());
        for figure in figures {
            let of = |answer: &Answer| answer.recall.get(figure).map(share).unwrap_or_default();
            let row = [name.clone(), figure.clone()].into_iter().chain(task.variants.values().map(of));
            rows.push(row.collect());
        }
    }
    Grid { title: "rows identified by their predicted value", rows }
}

/// Figures of each generated stream.
fn streams(findings: &Findings) -> Grid {
    let several = findings.variants.len() > 1;
    let head = ["task", "stream", "variant", "accuracy", "exact", "Fréchet distance", "diversity", "class entropy"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for (task, found) in &findings.tasks {
        let streams =
            found.generate.iter().flat_map(|stream| found.variants.iter().map(move |variant| (stream, variant)));
        for (stream, (variant, answer)) in streams {
            let Some(figures) = answer.streams.get(stream) else { continue };
            rows.push(vec![
                task.clone(),
                stream.clone(),
                variant.clone(),
                figures.accuracy.as_ref().map(share).unwrap_or_default(),
                figures.exact.as_ref().map(share).unwrap_or_default(),
                figures.frechet.as_ref().map(distance).unwrap_or_default(),
                figures.diversity.as_ref().map(plain).unwrap_or_default(),
                share(&figures.class_entropy),
            ]);
        }
    }
    if rows.iter().skip(1).all(|row| row[4].is_empty()) {
        rows.iter_mut().for_each(|row| drop(row.remove(4)));
    }
    if !several {
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
    }
    truths(findings, &mut rows);
    Grid { title: "generated streams", rows }
}

/// Adds the distance of generated rows from their true values and the share nearest to their own, by features and by
/// LPIPS, if any stream has them.
fn truths(findings: &Findings, rows: &mut [Vec<String>]) {
    let answers = findings.tasks.values().flat_map(|task| {
        let streams =
            task.generate.iter().flat_map(|stream| task.variants.values().map(move |answer| (stream, answer)));
        streams.filter_map(|(stream, answer)| answer.streams.get(stream)).collect::<Vec<_>>()
    });
    append_truths(answers.map(|figures| figures.truth.as_ref()).collect(), rows);
}

/// Appends these columns to the head and rows, if any row has values.
fn append_truths(truths: Vec<Option<&Truth>>, rows: &mut [Vec<String>]) {
    let mut add = |heads: [&str; 2], of: fn(&Truth) -> Option<&Nearness>| {
        let found: Vec<Option<&Nearness>> = truths.iter().map(|truth| truth.and_then(of)).collect();
        if found.iter().all(Option::is_none) {
            return;
        }
        let cells = found.into_iter().map(|near| {
            [near.map(|near| plain(&near.distance)), near.map(|near| share(&near.nearest))]
                .map(Option::unwrap_or_default)
        });
        let heads = std::iter::once(heads.map(String::from));
        rows.iter_mut().zip(heads.chain(cells)).for_each(|(row, cells)| row.extend(cells));
    };
    add(["from its own", "nearest to its own"], |truth| Some(&truth.features));
    add(["LPIPS from its own", "nearest by LPIPS"], |truth| truth.perceptual.as_ref());
}

/// Cost per row of each variant.
fn variants(findings: &Findings) -> Grid {
    let mut rows = vec![["variant", "sampler", "denoiser", "network calls a row", "rows/s"].map(String::from).to_vec()];
    for (name, variant) in &findings.variants {
        let answers: Vec<&Answer> = findings.tasks.values().filter_map(|task| task.variants.get(name)).collect();
        let mean = |of: fn(&Answer) -> f64| answers.iter().map(|a| of(a)).sum::<f64>() / answers.len().max(1) as f64;
        let calls = mean(|answer| answer.network_calls_per_row);
        let seconds = mean(|answer| answer.seconds_per_row);
        let sampler = kind_first(&variant.sampler);
        let denoiser = variant.denoiser.clone();
        rows.push(vec![name.clone(), sampler, denoiser, significant(calls), significant(1.0 / seconds)]);
    }
    Grid { title: "variants", rows }
}

/// References for the other figures: real rows, and real rows after encoding and decoding.
fn references(findings: &Findings) -> Grid {
    let head = ["stream", "rows", "which", "accuracy", "Fréchet distance", "diversity"];
    let mut rows = vec![head.map(String::from).to_vec()];
    let mut truths = Vec::new();
    for (stream, real) in &findings.judges {
        let floor = real.floor.as_ref().map(distance).unwrap_or_default();
        let diversity = real.diversity.map(significant).unwrap_or_default();
        let accuracy = percent(real.accuracy);
        rows.push(vec![stream.clone(), real.rows.to_string(), "real".into(), accuracy, floor, diversity]);
        truths.push(None);
        for (variant, found) in &findings.variants {
            let Some(back) = found.reconstructed.get(stream) else { continue };
            let which = format!("reconstructed by {variant}");
            let frechet = back.frechet.as_ref().map(distance).unwrap_or_default();
            let row =
                vec![stream.clone(), real.rows.to_string(), which, percent(back.accuracy), frechet, String::new()];
            rows.push(row);
            truths.push(back.truth.as_ref());
        }
    }
    append_truths(truths, &mut rows);
    Grid { title: "held-out rows", rows }
}

/// The targets of a task: least coherence, and least share of rows nearest to their own; empty if it has none.
pub fn target(task: &TaskFindings) -> String {
    let nearest = task.min_top1.map(|least| format!("nearest {}", percent(least)));
    task.min_coherence.map(percent).into_iter().chain(nearest).collect::<Vec<_>>().join(", ")
}

/// ` ✓` or ` ✗` for a task with targets.
pub fn mark(task: &TaskFindings) -> &'static str {
    match (task.min_coherence.or(task.min_top1), task.passed) {
        (None, _) => "",
        (_, true) => " ✓",
        (_, false) => " ✗",
    }
}

/// `88.1 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `88.1 % ± 1.6`.
pub fn share(figure: &Figure) -> String {
    format!("{} ± {:.1}", percent(figure.mean), figure.spread * 100.0)
}

fn plain(figure: &Figure) -> String {
    format!("{} ± {}", significant(figure.mean), significant(figure.spread))
}

/// The distance over all rows, with the spread over seeds.
fn distance(distance: &Distance) -> String {
    let spread = distance.per_seed.as_ref().map(|seeds| format!(" ± {}", significant(seeds.spread)));
    format!("{}{}", significant(distance.value), spread.unwrap_or_default())
}

#[cfg(test)]
pub mod tests {
    use anyflow_plan::findings::Confusion;
    use serde_json::json;

    use super::*;

    fn counted() -> Confusion {
        let mut confusion = Confusion::new(2);
        confusion.add(&[0, 0, 0, 1, 1], &[Some(0), Some(0), Some(1), Some(1), None]);
        confusion.named(&["low".into(), "high".into()])
    }

    /// Two variants; one task that the first variant misses, and one without a target.
    pub fn example() -> Findings {
        let figure = |mean: f64| Figure::of(vec![mean - 0.02, mean + 0.02]);
        let distance = |value: f64| Distance { value, rows: 40, against: 30, per_seed: Some(figure(value)) };
        let answer = |mean: f64, given: bool| Answer {
            coherence: figure(mean),
            joint: given.then(|| Fit { agreement: figure(0.9), similarity: Some(figure(0.75)) }),
            independent: given.then(|| Fit { agreement: figure(0.6), similarity: None }),
            streams: [(
                "sound".to_string(),
                anyflow_plan::findings::StreamFindings {
                    accuracy: given.then(|| figure(mean)),
                    confusion: given.then(counted),
                    exact: None,
                    frechet: Some(distance(7.25)),
                    class_entropy: figure(0.97),
                    diversity: Some(figure(3.5)),
                    truth: None,
                },
            )]
            .into(),
            confusion: None,
            recall: Default::default(),
            network_calls_per_row: 50.0,
            seconds_per_row: 0.002,
            rows_per_second: 500.0,
        };
        let task = |observe: &[&str], min_coherence, passed| TaskFindings {
            observe: observe.iter().map(|s| s.to_string()).collect(),
            generate: vec!["sound".into()],
            min_coherence,
            min_top1: None,
            passed,
            variants: [("mld", 0.774), ("euler", 0.5)]
                .into_iter()
                .map(|(name, mean)| (name.to_string(), answer(mean, !observe.is_empty())))
                .collect(),
        };
        let variant = |kind: &str| {
            serde_json::from_value(json!({
                "checkpoint": "m.safetensors", "denoiser": "joint", "sampler": {"kind": kind, "steps": 50},
                "reconstructed": {"sound": {"accuracy": 0.95, "frechet": null}},
            }))
            .unwrap()
        };
        Findings {
            name: "digits-eval".into(),
            rows: 20,
            seeds: vec![1, 2],
            judges: serde_json::from_value(json!({"sound": {
                "rows": 30, "accuracy": 0.99, "floor": {"value": 1.5, "rows": 40, "against": 30}, "diversity": 4.0,
            }}))
            .unwrap(),
            variants: [("mld".to_string(), variant("ddim")), ("euler".to_string(), variant("euler"))].into(),
            tasks: [
                ("image-to-sound".to_string(), task(&["image"], Some(0.8), false)),
                ("joint".to_string(), task(&[], None, true)),
            ]
            .into(),
            conflicts: serde_json::from_value(json!({"mixed": {
                "between": ["words", "image"],
                "variants": {"mld": {"sound": [
                    {"weight": 0.25, "first": figure(0.8), "second": figure(0.1)},
                    {"weight": 1.0, "first": figure(0.2), "second": figure(0.7)},
                ]}},
            }}))
            .unwrap(),
        }
    }

    #[test]
    fn a_task_is_a_row_and_a_variant_a_column() {
        let text = text(&example());
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_string();
        assert_eq!(line("image-to-sound  80"), "image-to-sound  80.0 %    77.4 % ± 2.0 ✗  50.0 % ± 2.0");
        assert_eq!(line("joint             "), "joint                     77.4 % ± 2.0    50.0 % ± 2.0");
        assert_eq!(line("euler"), "euler    euler (steps 50)        joint     50                   500");
        assert!(text.contains("reconstructed by mld    95.0 %"), "{text}");
        assert!(text.contains("image-to-sound  sound   mld      77.4 % ± 2.0  7.25 ± 0.02"), "{text}");
    }

    #[test]
    fn nearest_rows_can_be_a_target_and_have_a_reconstructed_reference() {
        let mut findings = example();
        assert!(!text(&findings).contains("nearest"));
        findings.tasks["joint"].min_top1 = Some(0.7);
        let near =
            |distance, share| Nearness { distance: Figure::of(vec![distance]), nearest: Figure::of(vec![share]) };
        let mut own = Truth { features: near(0.125, 0.75), perceptual: None };
        assert_eq!(own.decisive(), &near(0.125, 0.75));
        findings.variants["euler"].reconstructed["sound"].truth = Some(own.clone());
        let plain = text(&findings);
        own.perceptual = Some(near(0.5, 1.0));
        assert_eq!(own.decisive(), &near(0.5, 1.0));
        findings.variants["euler"].reconstructed["sound"].truth = Some(own);
        let both = text(&findings);
        let line = both.lines().find(|line| line.contains("reconstructed by euler")).unwrap();
        assert!(line.contains("0.125 ± 0") && line.ends_with("0.5 ± 0             100.0 % ± 0.0"), "{line}");
        assert!(both.contains("nearest by LPIPS") && !plain.contains("LPIPS"));
        let text = plain;
        assert!(text.contains("joint           nearest 70.0 %  77.4 % ± 2.0 ✓"), "{text}");
        let line = text.lines().find(|line| line.contains("reconstructed by euler")).unwrap();
        assert!(line.ends_with("0.125 ± 0     75.0 % ± 0.0"), "{line}");
    }

    #[test]
    fn joint_generation_is_compared_with_separate_generation() {
        let text = text(&example());
        assert!(text.contains("image-to-sound  mld      90.0 % ± 2.0  60.0 % ± 2.0  0.75 ± 0.02"), "{text}");
        let mixtures: Vec<&str> = text.lines().filter(|line| line.starts_with("mixed")).collect();
        assert_eq!(
            mixtures,
            [
                "mixed     sound   mld      words     80.0 %  20.0 %",
                "mixed     sound   mld      image     10.0 %  70.0 %"
            ]
        );
        assert!(!text.contains("exact"), "no stream has texts: {text}");
    }

    #[test]
    fn recalls_are_a_table() {
        let mut findings = example();
        assert!(!text(&findings).contains("recall"));
        for answer in findings.tasks["joint"].variants.values_mut() {
            answer.recall.insert("recall@10".into(), Figure::of(vec![0.25, 0.75]));
        }
        let text = text(&findings);
        assert!(text.contains("joint  recall@10  50.0 % ± 25.0  50.0 % ± 25.0"), "{text}");
    }

    #[test]
    fn findings_survive_serialization() {
        let findings = example();
        let json = serde_json::to_value(&findings).unwrap();
        assert_eq!(serde_json::from_value::<Findings>(json).unwrap(), findings);
    }
}
