//! What every module promises.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use tch::{Kind, Tensor};

use super::chance::Chance;
use super::descriptor::{self, Port};
use super::host::Refusal;
use super::module::{Module, Variable};
use super::outcome::{Protocol, Unmet, Verdict};
use super::role::{self, Role};
use super::{BATCH_TOLERANCE, hostile, memory, schema};
use crate::abi::torch::TorchInterface;

/// Rows of a batch.
const ROWS: usize = 3;

/// A module under its parameters.
struct Subject<'a> {
    table: &'static TorchInterface,
    descriptor: &'a descriptor::Module,
    parameters: Map<String, Value>,
    roles: Vec<Role<'a>>,
}

/// Checks a module with the given parameters, defaults for the others.
pub(super) fn run(
    table: &'static TorchInterface,
    descriptor: &descriptor::Module,
    given: &Map<String, Value>,
    protocol: &mut Protocol<'_>,
) {
    protocol.check("defaults", || schema::check(&descriptor.parameters));
    let mut made = None;
    protocol.check("create", || {
        let subject = Subject::new(table, descriptor, schema::values(&descriptor.parameters, given)?)?;
        subject.make()?;
        subject.make()?;
        let text = role::told(&subject.roles);
        made = Some(subject);
        Ok(text)
    });
    let Some(subject) = made else { return };
    protocol.check("parameters", || hostile::parameters(&subject.parameters, |text| subject.make_with(text).map(drop)));
    protocol.check("variables", || subject.variables());
    protocol.check("seed", || subject.seed());
    protocol.check("shapes", || subject.shapes());
    protocol.check("determinism", || subject.determinism());
    protocol.check("batch", || subject.batch());
    protocol.check("home", || subject.home());
    protocol.check("odd-sizes", || subject.odd_sizes());
    protocol.check("inputs", || subject.inputs());
    protocol.check("state", || subject.state());
    protocol.check("gradients", || subject.gradients());
    protocol.check("wrong-arrays", || subject.wrong_arrays());
    protocol.check("leaks", || subject.leaks());
}

impl<'a> Subject<'a> {
    fn new(
        table: &'static TorchInterface,
        descriptor: &'a descriptor::Module,
        parameters: Map<String, Value>,
    ) -> Result<Self, Unmet> {
        let roles = Role::all(descriptor, &parameters)?;
        Ok(Subject { table, descriptor, parameters, roles })
    }

    fn make(&self) -> Result<Module, Refusal> {
        self.make_with(&Value::Object(self.parameters.clone()).to_string())
    }

    fn make_with(&self, parameters: &str) -> Result<Module, Refusal> {
        Module::create(self.table, &self.descriptor.id, parameters)
    }

    /// Variables have names of their own, the same in the same order each time, and hold numbers.
    fn variables(&self) -> Verdict {
        let (module, other) = (self.make()?, self.make()?);
        let all = module.variables()?;
        let named = |all: &[Variable]| -> Vec<_> {
            all.iter().map(|v| (v.name.clone(), v.tensor.size(), v.trainable)).collect()
        };
        let first = named(&all);
        if first != named(&module.variables()?) || first != named(&other.variables()?) {
            return Err("names, sizes or order differ from call to call or from instance to instance".into());
        }
        let mut names = BTreeSet::new();
        if let Some((name, ..)) = first.iter().find(|(name, ..)| name.is_empty() || !names.insert(name)) {
            return Err(format!("`{name}` is no name of its own").into());
        }
        for Variable { name, tensor, .. } in &all {
            if tensor.is_floating_point() && !is_finite(tensor)? {
                return Err(format!("`{name}` begins with values that are no numbers").into());
            }
        }
        Ok(format!("{} of {} are trained", all.iter().filter(|v| v.trainable).count(), all.len()))
    }

    /// Fresh parameters follow from libtorch's seed, and from it alone.
    fn seed(&self) -> Verdict {
        let fresh = |seed| -> Result<Vec<Tensor>, Unmet> {
            #[allow(clippy::disallowed_methods)] // that plugins draw from libtorch's generator is what is tried
            tch::manual_seed(seed);
            let module = self.make()?;
            Ok(module.variables()?.iter().map(|v| v.tensor.copy()).collect())
        };
        // Other tests of the process may draw from the same generator meanwhile.
        for _ in 0..5 {
            if fresh(1)? == fresh(1)? {
                return Ok("the same seed gives the same parameters".into());
            }
        }
        Err("fresh parameters differ though libtorch has the same seed".into())
    }

    fn forward(&self, module: &Module, role: &Role<'_>, input: &Tensor, train: bool) -> Result<Tensor, Unmet> {
        let of = |text: String| format!("{} of {:?}: {text}", role.name, input.size());
        let output = module.forward(role.number, input, train).map_err(|refusal| of(refusal.to_string()))?;
        let rows = input.size().first().copied();
        let wanted: Vec<i64> = rows.into_iter().chain(role.output.1.iter().copied()).collect();
        let kind = kind(role.output.0);
        if output.size() != wanted || output.kind() != kind {
            let text = format!("gave {:?} {:?}, the descriptor says {wanted:?} {kind:?}", output.size(), output.kind());
            return Err(of(text).into());
        }
        Ok(output)
    }

    /// What the descriptor says of shape, dtype and range holds for 0, 1 and more rows.
    fn shapes(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            for rows in [0, 1, ROWS] {
                let output = tch::no_grad(|| self.forward(&module, role, &role.random(rows), false))?;
                if rows == 0 {
                    continue;
                }
                if !is_finite(&output)? {
                    return Err(format!("{} gives values that are no numbers", role.name).into());
                }
                let Some([low, high]) = role.output.0.range else { continue };
                let (least, most) = (output.f_min()?.f_double_value(&[])?, output.f_max()?.f_double_value(&[])?);
                let slack = (high - low) * f64::from(f32::EPSILON);
                if least < low - slack || most > high + slack {
                    return Err(format!("{} gives {least} to {most}, its port says [{low}, {high}]", role.name).into());
                }
            }
        }
        Ok(format!("{} roles with 0, 1 and {ROWS} rows", self.roles.len()))
    }

    fn determinism(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let x = role.random(ROWS);
            let (a, b) = tch::no_grad(|| {
                Ok::<_, Unmet>((self.forward(&module, role, &x, false)?, self.forward(&module, role, &x, false)?))
            })?;
            if a != b {
                return Err(
                    format!("{} gives two outputs for one input, though it is not being trained", role.name).into()
                );
            }
        }
        Ok("the same to the bit".into())
    }

    /// An instance lives on one thread, from its making to its end, and any thread will do.
    fn home(&self) -> Verdict {
        let used = || -> Result<(), Unmet> {
            let module = self.make()?;
            module.variables()?;
            self.roles
                .iter()
                .try_for_each(|role| tch::no_grad(|| self.forward(&module, role, &role.random(ROWS), false)).map(drop))
        };
        used()?;
        std::thread::scope(|scope| scope.spawn(used).join()).map_err(|_| "a thread panicked")??;
        Ok("another thread will do as well".into())
    }

    fn batch(&self) -> Verdict {
        let module = self.make()?;
        let mut worst: f64 = 0.0;
        for role in &self.roles {
            let x = role.random(ROWS);
            let all = tch::no_grad(|| self.forward(&module, role, &x, false))?;
            let scale = all.f_abs()?.f_max()?.f_double_value(&[])?.max(1e-6);
            for row in 0..ROWS as i64 {
                let one = tch::no_grad(|| self.forward(&module, role, &x.narrow(0, row, 1), false))?;
                let apart = (one - all.narrow(0, row, 1)).f_abs()?.f_max()?.f_double_value(&[])? / scale;
                worst = worst.max(apart);
                if apart > BATCH_TOLERANCE {
                    let name = role.name;
                    return Err(format!("{name}: row {row} alone differs by {apart:.1e} of the largest value").into());
                }
            }
        }
        Ok(format!("1 and {ROWS} rows agree within {worst:.1e} (at most {BATCH_TOLERANCE:.0e}, f32)"))
    }

    /// Other sizes work, or are refused when the module is made.
    fn odd_sizes(&self) -> Verdict {
        let mut tried = Vec::new();
        for (words, parameters) in role::odd_sizes(self.descriptor, &self.parameters) {
            let odd = Subject::new(self.table, self.descriptor, parameters)?;
            match odd.make() {
                Err(refusal) if refusal.is_breach() => return Err(format!("{words}: {refusal}").into()),
                Err(_) => tried.push(format!("{words} refused")),
                Ok(module) => {
                    for role in &odd.roles {
                        drop(tch::no_grad(|| odd.forward(&module, role, &role.random(2), false))?);
                    }
                    tried.push(words);
                }
            }
        }
        match tried.len() {
            0 => Err(Unmet::Skipped("no axis has a size that could be another".into())),
            _ => Ok(tried.join(", ")),
        }
    }

    /// Inputs are borrowed: they stay as they are, and stay usable.
    fn inputs(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let x = role.random(ROWS);
            let before = x.copy();
            for train in [false, true] {
                drop(tch::no_grad(|| self.forward(&module, role, &x, train))?);
                if x != before {
                    return Err(format!("{} changes its input", role.name).into());
                }
            }
        }
        Ok("unchanged".into())
    }

    /// Without training, a call changes no variable, and outputs do not depend on earlier calls.
    fn state(&self) -> Verdict {
        let module = self.make()?;
        let values = || -> Result<Vec<Tensor>, Refusal> {
            Ok(module.variables()?.iter().map(|v| v.tensor.detach().copy()).collect())
        };
        let before = values()?;
        for role in &self.roles {
            let (x, other) = (role.random(ROWS), role.random(ROWS + 2));
            let first = tch::no_grad(|| self.forward(&module, role, &x, false))?;
            drop(tch::no_grad(|| self.forward(&module, role, &other, false))?);
            if tch::no_grad(|| self.forward(&module, role, &x, false))? != first {
                return Err(format!("after another call, {} gives another output", role.name).into());
            }
        }
        if values()? != before {
            return Err("a call changes variables, though the module is not being trained".into());
        }
        Ok("calls do not depend on earlier ones".into())
    }

    /// Finite gradients reach the input of every role and every trainable parameter.
    fn gradients(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let x = role.random(ROWS);
            let x = if x.is_floating_point() { x.set_requires_grad(true) } else { x };
            let output = self.forward(&module, role, &x, true)?;
            if !output.requires_grad() {
                return Err(format!("the output of {} carries no gradient", role.name).into());
            }
            // Weights that are not all equal: outputs that sum to one would have no gradient else.
            let weights = Tensor::from_slice(&Chance::new(5).values(role.output.0, output.numel()));
            (&output * weights.f_reshape(output.size())?.f_to_kind(Kind::Float)?).f_sum(Kind::Float)?.f_backward()?;
            if x.is_floating_point() {
                reached(&format!("the input of {}", role.name), &x)?;
            }
        }
        let trainable: BTreeMap<String, Tensor> =
            module.variables()?.into_iter().filter(|v| v.trainable).map(|v| (v.name, v.tensor)).collect();
        for (name, tensor) in &trainable {
            reached(&format!("`{name}`"), tensor)?;
        }
        Ok(format!("finite, in all inputs and {} parameters", trainable.len()))
    }

    /// Inputs of other shapes, and of no numbers, give an output or an error, never a panic.
    fn wrong_arrays(&self) -> Verdict {
        let (mut refused, mut tried) = (0, 0);
        for role in &self.roles {
            let x = role.random(ROWS);
            let last = role.input.1.len() as i64;
            let doubled = Tensor::f_cat(&[&x, &x], last)?;
            let inputs = [
                ("another size", doubled),
                ("an axis less", x.f_select(last, 0)?),
                ("an axis more", x.f_unsqueeze(-1)?),
                ("no axis", Tensor::from(0.5f32)),
                ("doubles", x.f_to_kind(Kind::Double)?),
                ("no numbers", x.f_to_kind(Kind::Float)?.f_mul_scalar(f64::NAN)?),
                ("infinities", x.f_to_kind(Kind::Float)?.f_mul_scalar(0.0)?.f_add_scalar(f64::INFINITY)?),
            ];
            for (what, input) in inputs {
                // An instance of its own: what a wrong input leaves behind must not spoil the next try.
                let module = self.make()?;
                tried += 1;
                match tch::no_grad(|| module.forward(role.number, &input, false)) {
                    Ok(_) => {}
                    Err(refusal) if refusal.is_breach() => {
                        return Err(format!("{} of {what}: {refusal}", role.name).into());
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        let (module, absent) = (self.make()?, role::absent(&self.roles));
        match self.roles.first().map(|role| module.forward(absent, &role.random(1), false)) {
            Some(Ok(_)) => Err(format!("it plays role number {absent}, which its descriptor does not list").into()),
            Some(Err(refusal)) if refusal.is_breach() => Err(format!("role number {absent}: {refusal}").into()),
            _ => Ok(format!("{refused} of {tried} refused")),
        }
    }

    /// Instances, outputs and graphs are given back.
    fn leaks(&self) -> Verdict {
        let (rows, smallest) = role::leak_batch(&self.roles);
        let inputs: Vec<Tensor> = self.roles.iter().map(|role| role.random(rows)).collect();
        memory::check(smallest, || {
            let module = self.make()?;
            for (role, x) in self.roles.iter().zip(&inputs) {
                drop(self.forward(&module, role, x, true)?);
                let _ = module.forward(role.number, &Tensor::from(0.5f32), false);
            }
            Ok(())
        })
    }
}

impl Role<'_> {
    /// `[row, axes of the input port]` of values that the port may carry.
    fn random(&self, rows: usize) -> Tensor {
        let (port, sizes) = &self.input;
        let shape: Vec<i64> = std::iter::once(rows as i64).chain(sizes.iter().copied()).collect();
        Tensor::from_slice(&self.values(rows)).reshape(shape).to_kind(kind(port))
    }
}

impl From<tch::TchError> for Unmet {
    fn from(error: tch::TchError) -> Self {
        format!("libtorch: {error}").into()
    }
}

fn is_finite(tensor: &Tensor) -> Result<bool, Unmet> {
    Ok(tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1)
}

fn reached(name: &str, tensor: &Tensor) -> Result<(), Unmet> {
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

fn kind(port: &Port) -> Kind {
    match port.dtype.as_str() {
        "i64" => Kind::Int64,
        "u8" => Kind::Uint8,
        _ => Kind::Float,
    }
}
