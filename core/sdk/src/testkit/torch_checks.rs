//! The promises that only modules over tensors make: named variables, a seed, and gradients.

use std::collections::{BTreeMap, BTreeSet};

use tch::{Kind, Tensor};

use super::chance::Chance;
use super::module_checks::{ROWS, Subject};
use super::outcome::{Protocol, Unmet, Verdict};
use super::torch_module::{Module, random};
use super::variable::Variable;
use crate::abi::dry::DryInterface;

/// Runs the checks; `dry` makes instances without memory, if the plugin offers it.
pub(super) fn run(subject: &Subject<'_, Module>, dry: Option<&'static DryInterface>, protocol: &mut Protocol<'_>) {
    protocol.check("variables", || subject.variables());
    protocol.check("seed", || subject.seed());
    protocol.check("inputs", || subject.inputs());
    protocol.check("gradients", || subject.gradients());
    if let Some(dry) = dry {
        protocol.check("dry", || subject.dry(dry));
    }
}

/// Names, sizes, and whether they are trained.
fn named(all: &[Variable]) -> Vec<(String, Vec<i64>, bool)> {
    all.iter().map(|v| (v.name.clone(), v.tensor.size(), v.trainable)).collect()
}

impl Subject<'_, Module> {
    /// Variables have unique names, keep them and their order, and start with finite values.
    fn variables(&self) -> Verdict {
        let module = self.make()?;
        let other = self.make()?;
        let all = module.visit()?;
        let first = named(&all);
        if first != named(&module.visit()?) || first != named(&other.visit()?) {
            return Err("names, sizes or order differ from call to call or from instance to instance".into());
        }
        let mut names = BTreeSet::new();
        if let Some((name, ..)) = first.iter().find(|(name, ..)| name.is_empty() || !names.insert(name)) {
            return Err(format!("variable name `{name}` is empty or used twice").into());
        }
        for Variable { name, tensor, .. } in &all {
            if tensor.is_floating_point() && tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
                return Err(format!("`{name}` starts with NaN or infinite values").into());
            }
        }
        Ok(format!("{} of {} are trained", all.iter().filter(|v| v.trainable).count(), all.len()))
    }

    /// Fresh variables depend on libtorch's seed only.
    fn seed(&self) -> Verdict {
        let fresh = |seed| -> Result<Vec<Tensor>, Unmet> {
            #[allow(clippy::disallowed_methods)]
            // plugins draw from libtorch's generator, and this check tries just that
            tch::manual_seed(seed);
            let module = self.make()?;
            Ok(module.visit()?.iter().map(|v| v.tensor.copy()).collect())
        };
        // Other tests of the process may draw from the same generator meanwhile.
        for _ in 0..5 {
            if fresh(1)? == fresh(1)? {
                return Ok("the same seed gives the same parameters".into());
            }
        }
        Err("fresh parameters differ though libtorch has the same seed".into())
    }

    /// An instance without memory has the variables of another one, and computes the same once it has their values.
    fn dry(&self, dry: &'static DryInterface) -> Verdict {
        let module = self.make()?;
        let filled = self.make_by(|table, id, parameters| Module::dry(dry, table, id, parameters))?;
        let [wanted, mut found] = [module.visit()?, filled.visit()?];
        if named(&wanted) != named(&found) {
            return Err("names, sizes or order of variables differ without memory".into());
        }
        let is_shared = |v: &&Variable| v.tensor.numel() > 1 && v.tensor.stride().iter().all(|stride| *stride == 0);
        let shared = found.iter().filter(is_shared).count();
        for (to, from) in found.iter_mut().zip(&wanted) {
            to.tensor.f_set_data(&from.tensor.f_detach()?.copy())?;
        }
        for role in &self.roles {
            let x = random(role, ROWS);
            let of = |module: &Module| tch::no_grad(|| module.checked(role, &x, false));
            if of(&module)? != of(&filled)? {
                return Err(format!("{} ignores the values that the host set", role.name).into());
            }
        }
        Ok(format!("{shared} of {} variables took no memory", found.len()))
    }

    /// Calls leave their inputs unchanged and usable.
    fn inputs(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let x = random(role, ROWS);
            let before = x.copy();
            for train in [false, true] {
                drop(tch::no_grad(|| module.checked(role, &x, train))?);
                if x != before {
                    return Err(format!("{} changes its input", role.name).into());
                }
            }
        }
        Ok("unchanged".into())
    }

    /// Finite gradients reach the input of every role and every trainable variable.
    fn gradients(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let x = random(role, ROWS);
            let x = if x.is_floating_point() { x.set_requires_grad(true) } else { x };
            let output = module.checked(role, &x, true)?;
            if !output.requires_grad() {
                return Err(format!("the output of {} carries no gradient", role.name).into());
            }
            // With equal weights, an output that sums to one (a softmax) would have no gradient.
            let weights = Tensor::from_slice(&Chance::new(5).values(role.output.0, output.numel()));
            (&output * weights.f_reshape(output.size())?.f_to_kind(Kind::Float)?).f_sum(Kind::Float)?.f_backward()?;
            if x.is_floating_point() {
                check_gradient(&format!("the input of {}", role.name), &x)?;
            }
        }
        let trainable: BTreeMap<String, Tensor> =
            module.visit()?.into_iter().filter(|v| v.trainable).map(|v| (v.name, v.tensor)).collect();
        for (name, tensor) in &trainable {
            check_gradient(&format!("`{name}`"), tensor)?;
        }
        Ok(format!("finite, in all inputs and {} parameters", trainable.len()))
    }
}

fn check_gradient(name: &str, tensor: &Tensor) -> Result<(), Unmet> {
    let gradient = tensor.f_grad()?;
    if !gradient.defined() {
        return Err(format!("no gradient reaches {name}").into());
    }
    let largest = gradient.f_abs()?.f_max()?.f_double_value(&[])?;
    if largest > 0.0 && largest.is_finite() {
        return Ok(());
    }
    Err(format!("the largest gradient of {name} is {largest}").into())
}
