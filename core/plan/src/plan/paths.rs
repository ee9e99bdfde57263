//! Plans without paths: moving or renaming files does not change the computation.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Component, EvalPlan, FILES, Job, Model, PromptConfig, RunPlan, ScorerConfig, TrainPlan};

impl Job {
    /// The same job without any path, to compare two jobs apart from their files.
    #[must_use]
    pub fn without_paths(&self) -> Job {
        let mut job = self.clone();
        match &mut job {
            Job::Run(plan) => of_run(plan),
            Job::Train(plan) => of_training(plan),
            Job::Eval(plan) => of_evaluation(plan),
        }
        job
    }
}

fn of_run(plan: &mut RunPlan) {
    plan.source.clear();
    of_model(&mut plan.model);
    plan.scorers.values_mut().for_each(of_scorer);
}

fn of_training(plan: &mut TrainPlan) {
    plan.source.clear();
    of_model(&mut plan.model);
    plan.start.iter_mut().for_each(String::clear);
    plan.take.values_mut().for_each(|taken| taken.from.clear());
    plan.scorers.values_mut().for_each(of_scorer);
    of_sources(&mut plan.sources);
}

fn of_evaluation(plan: &mut EvalPlan) {
    plan.source.clear();
    of_model(&mut plan.model);
    plan.judges.values_mut().for_each(of_scorer);
    for variant in plan.variants.values_mut() {
        variant.model.iter_mut().for_each(of_model);
        variant.codecs.values_mut().for_each(of_component);
        variant.weights.iter_mut().for_each(String::clear);
    }
    of_sources(&mut plan.sources);
}

fn of_model(model: &mut Model) {
    model.source.clear();
    model.license = None;
    model.checkpoint = None;
    for stream in model.streams.values_mut() {
        of_component(&mut stream.codec);
        stream.module.iter_mut().for_each(of_component);
    }
    for prompt in model.prompts.values_mut() {
        if let PromptConfig::Encoded(encoded) = prompt {
            of_component(&mut encoded.codec);
            of_component(&mut encoded.module);
        }
    }
}

fn of_scorer(scorer: &mut ScorerConfig) {
    scorer.checkpoint = None;
    scorer.module.iter_mut().for_each(of_component);
}

fn of_component(component: &mut Component) {
    component.library.clear();
    if let Some(Json::String(path)) = component.parameters.get_mut(FILES) {
        path.clear();
    }
}

/// The same rows may be in any number of files.
fn of_sources(sources: &mut IndexMap<String, Vec<String>>) {
    sources.values_mut().for_each(Vec::clear);
}
