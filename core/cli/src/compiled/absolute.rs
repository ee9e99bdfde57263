//! Absolute paths, so that a job is the same from every working directory.

use anyflow_plan::plan::{Checkpoint, Generated, Job, Model, ScorerConfig};
use indexmap::IndexMap;

/// Makes all paths of a job absolute, so that the job is the same from every working directory.
pub fn absolute(job: &mut Job) {
    let model = match job {
        Job::Run(plan) => {
            fix(&mut plan.source);
            plan.scorers.values_mut().for_each(fix_scorer);
            &mut plan.model
        }
        Job::Train(plan) => {
            fix(&mut plan.source);
            fix_sources(&mut plan.sources, &plan.generated);
            plan.scorers.values_mut().for_each(fix_scorer);
            &mut plan.model
        }
        Job::Eval(plan) => {
            fix(&mut plan.source);
            fix_sources(&mut plan.sources, &plan.generated);
            plan.judges.values_mut().for_each(fix_scorer);
            plan.variants.values_mut().filter_map(|variant| variant.model.as_mut()).for_each(fix_model);
            &mut plan.model
        }
    };
    fix_model(model);
}

/// Makes the paths of a model absolute.
pub(super) fn fix_model(model: &mut Model) {
    fix(&mut model.source);
    model.checkpoint.iter_mut().flat_map(Checkpoint::paths_mut).for_each(fix);
}

/// Skips generated files: they are in the output folder, which is not known here.
fn fix_sources(sources: &mut IndexMap<String, Vec<String>>, generated: &IndexMap<String, Generated>) {
    let named = sources.iter_mut().filter(|(name, _)| !generated.contains_key(*name));
    named.flat_map(|(_, paths)| paths).for_each(fix);
}

fn fix_scorer(scorer: &mut ScorerConfig) {
    scorer.checkpoint.iter_mut().for_each(fix);
}

/// Resolves `..` and links. The part of a path that does not exist yet is kept, so that a job is the same before and
/// after it wrote the file.
fn fix(path: &mut String) {
    if path.contains("://") {
        return;
    }
    let Ok(full) = std::path::absolute(&*path) else { return };
    let existing = full.ancestors().find_map(|part| Some((std::fs::canonicalize(part).ok()?, part)));
    if let Some((found, part)) = existing
        && let Ok(rest) = full.strip_prefix(part)
    {
        let there = if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        // A link can lead to a name that is not UTF-8; then the link's own name is kept.
        *path = [there, full.clone()].iter().find_map(|path| path.to_str()).unwrap_or(path).to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_path_is_the_same_before_and_after_its_file_exists() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let fixed = || {
            let mut path = folder.path().join("a/../out/model").display().to_string();
            fix(&mut path);
            path
        };
        let before = fixed();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        std::fs::write(folder.path().join("out/model"), "").unwrap();
        assert_eq!(before, fixed());
        assert!(!before.contains(".."), "{before}");
    }
}
