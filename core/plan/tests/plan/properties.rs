//! Properties: defaults are a fixed point, no text makes the planner panic.

use anyflow_plan::plan::Job;
use anyflow_plan::{Override, Source, kind_of};
use proptest::prelude::*;

use crate::bench::{Case, file, names};

fn sampler_of(case: &Case) -> serde_json::Value {
    let (job, _) = case.compile().map_err(|errors| errors.render(&[&case.main], false)).unwrap();
    let Job::Run(plan) = job else { panic!("no run") };
    let diffusion = plan.steps.iter().find_map(|step| step.op.diffusion()).unwrap();
    serde_json::to_value(&diffusion.sampler).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// What was filled in is accepted as written, and stays what it is.
    #[test]
    fn filled_kinds_are_a_fixed_point(steps in 1u32..1000, eta in 0.0f64..=1.0, with_eta: bool) {
        let rest = if with_eta { format!(", kind: ddim, eta: {eta:?}") } else { String::new() };
        let written = format!("{{steps: {steps}{rest}}}");
        let case = |sampler: &str| Case::of("joint.yaml").set(&format!("joint.sampler={sampler}"));
        let once = sampler_of(&case(&written));
        let twice = sampler_of(&case(&once.to_string()));
        prop_assert_eq!(once, twice);
    }

    /// Cutting or garbling a file gives errors, never a panic.
    #[test]
    fn garbled_files_are_refused_calmly(
        which in 0usize..12,
        at in 0usize..2000,
        put in "[a-z:{}\\[\\], \n&*'\"#-]{0,6}",
    ) {
        let names = names();
        let name = &names[which % names.len()];
        let mut case = Case::of(if name == "model.yaml" { "joint.yaml" } else { name });
        let text = file(name).text;
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let garbled = format!("{}{put}{}", &text[..at], &text[at..]);
        if name == "model.yaml" { case.model.text = garbled } else { case.main.text = garbled }
        let _ = case.said();
    }

    #[test]
    fn any_text_is_read_calmly(text in ".{0,200}") {
        let _ = kind_of(&Source::new("x.yaml", text.clone()));
        let _ = Override::parse(&text);
    }
}
