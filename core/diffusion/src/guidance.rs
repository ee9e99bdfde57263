//! Guidance: predictions are moved away from those that the network makes with fewer conditions.
//!
//! A branch is the same row again in the same network call, with some streams dropped. With the raw predictions p of
//! the row and p_b of branch b, in the stream's own parameterization, the guided prediction of stream i is
//!
//! p_i + sum_b w_bi (p_i - p_bi).
//!
//! One branch with w = g - 1 is p_b + g (p - p_b), classifier-free guidance (Ho and Salimans 2022): g = 1 is the plain
//! model, g = 0 the model without the condition. The other common convention, p + s (p - p_b) of UniDiffuser (Bao et
//! al. 2023), has s = g - 1. With one branch per condition, p + sum_c (g_c - 1) (p - p_without_c), each condition has
//! its own strength; with all g = 1 nothing changes.
//!
//! Branches drop streams, so the denoiser should have been trained with absent streams (`p_absent` of the time
//! distribution).

use anyflow_config::guidance::{Cfg, Joint};
use anyflow_config::{Guidance, Scale};
use indexmap::IndexMap;

/// The same row again with fewer conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The dropped streams.
    pub dropped: Vec<String>,
    /// w per generated stream. A stream without an entry is not guided by this branch.
    pub weights: IndexMap<String, f64>,
}

impl Branch {
    /// The branches of a request with these conditions and generated streams; other names are ignored. A scale of 1
    /// needs no branch. `cfg` has branches that lack conditions. `joint` has one branch per stream, which lacks all other
    /// generated streams, as in UniDiffuser's joint sampling.
    pub fn of(guidance: &Guidance, conditions: &[&str], generated: &[&str]) -> Vec<Branch> {
        let branches: Vec<Branch> = match guidance {
            Guidance::Cfg(Cfg { scale: Scale::All(scale), .. }) => vec![Branch::new(conditions, generated, *scale)],
            Guidance::Cfg(Cfg { scale: Scale::Each(scales), .. }) => {
                let scales = scales.iter().filter(|(condition, _)| conditions.contains(&condition.as_str()));
                scales.map(|(condition, scale)| Branch::new(&[condition], generated, *scale)).collect()
            }
            Guidance::Joint(Joint { scale }) => {
                let alone = |stream: &&str| {
                    let others: Vec<&str> = generated.iter().copied().filter(|other| other != stream).collect();
                    Branch::new(&others, &[stream], *scale)
                };
                generated.iter().map(alone).collect()
            }
        };
        branches.into_iter().filter_map(Branch::unless_idle).collect()
    }

    /// Guides streams with scale g, so w = g - 1, by a branch without the dropped streams.
    fn new(dropped: &[&str], guided: &[&str], scale: f64) -> Self {
        let weight = |stream: &&str| (stream.to_string(), scale - 1.0);
        let dropped = dropped.iter().map(ToString::to_string).collect();
        Branch { dropped, weights: guided.iter().map(weight).collect() }
    }

    /// Removes zero weights; `None` if no weight is left or no stream is dropped.
    fn unless_idle(mut self) -> Option<Self> {
        self.weights.retain(|_, weight| *weight != 0.0);
        (!self.weights.is_empty() && !self.dropped.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Guidance {
        serde_json::from_str(text).unwrap()
    }

    fn branch(dropped: &[&str], weights: &[(&str, f64)]) -> Branch {
        let weights = weights.iter().map(|(name, weight)| (name.to_string(), *weight)).collect();
        Branch { dropped: dropped.iter().map(ToString::to_string).collect(), weights }
    }

    #[test]
    fn one_scale_drops_all_conditions_at_once() {
        let found = Branch::of(&parsed(r#"{"kind": "cfg", "scale": 2.5}"#), &["a", "b"], &["x", "y"]);
        assert_eq!(found, [branch(&["a", "b"], &[("x", 1.5), ("y", 1.5)])]);
    }

    #[test]
    fn each_scaled_condition_has_a_branch() {
        let guidance = parsed(r#"{"kind": "cfg", "scale": {"a": 2.0, "b": 1.0, "c": 0.0}}"#);
        let without = |name, weight| branch(&[name], &[("x", weight)]);
        assert_eq!(Branch::of(&guidance, &["a", "b", "c"], &["x"]), [without("a", 1.0), without("c", -1.0)]);
        assert_eq!(Branch::of(&guidance, &["b", "c"], &["x"]), [without("c", -1.0)]);
    }

    #[test]
    fn joint_guidance_has_a_branch_per_stream() {
        let guidance = parsed(r#"{"kind": "joint", "scale": 3}"#);
        let expected = [
            branch(&["y", "z"], &[("x", 2.0)]),
            branch(&["x", "z"], &[("y", 2.0)]),
            branch(&["x", "y"], &[("z", 2.0)]),
        ];
        assert_eq!(Branch::of(&guidance, &["a"], &["x", "y", "z"]), expected);
        assert!(Branch::of(&guidance, &["a"], &["x"]).is_empty());
    }

    #[test]
    fn a_scale_of_one_has_no_branch() {
        for text in [r#"{"kind": "cfg", "scale": 1}"#, r#"{"kind": "joint", "scale": 1.0}"#] {
            assert!(Branch::of(&parsed(text), &["a"], &["x", "y"]).is_empty());
        }
        assert!(Branch::of(&parsed(r#"{"kind": "cfg", "scale": 4}"#), &[], &["x"]).is_empty());
        assert!(serde_json::from_str::<Guidance>(r#"{"kind": "cfg", "strength": 1}"#).is_err());
    }
}
