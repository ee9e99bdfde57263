//! What every module without libtorch promises.

use serde_json::{Map, Value};

use super::array::Array;
use super::array_module::ArrayModule;
use super::descriptor;
use super::host::Refusal;
use super::outcome::{Protocol, Unmet, Verdict};
use super::role::{self, Role};
use super::{BATCH_TOLERANCE, hostile, memory, schema};
use crate::abi::array::ArrayInterface;

/// Rows of a batch.
const ROWS: usize = 3;

/// A module under its parameters.
struct Subject<'a> {
    table: &'static ArrayInterface,
    descriptor: &'a descriptor::Module,
    parameters: Map<String, Value>,
    roles: Vec<Role<'a>>,
}

/// Checks a module with the given parameters, defaults for the others.
pub(super) fn run(
    table: &'static ArrayInterface,
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
    protocol.check("shapes", || subject.shapes());
    protocol.check("determinism", || subject.determinism());
    protocol.check("batch", || subject.batch());
    protocol.check("home", || subject.home());
    protocol.check("odd-sizes", || subject.odd_sizes());
    protocol.check("state", || subject.state());
    protocol.check("wrong-arrays", || subject.wrong_arrays());
    protocol.check("leaks", || subject.leaks());
}

impl<'a> Subject<'a> {
    fn new(
        table: &'static ArrayInterface,
        descriptor: &'a descriptor::Module,
        parameters: Map<String, Value>,
    ) -> Result<Self, Unmet> {
        let roles = Role::all(descriptor, &parameters)?;
        if let Some(role) = roles.iter().find(|role| role.output.0.dtype != "f32") {
            return Err(format!("{} gives {}; such modules give f32", role.name, role.output.0.dtype).into());
        }
        Ok(Subject { table, descriptor, parameters, roles })
    }

    fn make(&self) -> Result<ArrayModule, Refusal> {
        self.make_with(&Value::Object(self.parameters.clone()).to_string())
    }

    fn make_with(&self, parameters: &str) -> Result<ArrayModule, Refusal> {
        ArrayModule::create(self.table, &self.descriptor.id, parameters)
    }

    /// The output, into zeros as a host passes them.
    fn forward(&self, module: &ArrayModule, role: &Role<'_>, input: &mut Array) -> Result<Array, Unmet> {
        let mut output = zeros("f32", input.rows(), &role.output.1)?;
        let called = module.forward(role.number, input, &mut output);
        called.map_err(|refusal| format!("{} of {} rows: {refusal}", role.name, input.rows()))?;
        Ok(output)
    }

    /// Outputs hold numbers of the range that the descriptor says, for 0, 1 and more rows.
    fn shapes(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let [low, high] = role.output.0.range.unwrap_or([f64::MIN, f64::MAX]);
            // Half a unit in the last place of f32, relative to the range.
            let slack = if low == f64::MIN { 0.0 } else { (high - low) * f64::from(f32::EPSILON) };
            for rows in [0, 1, ROWS] {
                let output = self.forward(&module, role, &mut role.array(rows)?)?;
                let outside = |x: &f64| !(low - slack <= *x && *x <= high + slack);
                match (0..rows).find_map(|row| output.row(row).into_iter().find(outside)) {
                    Some(x) if x.is_finite() => {
                        return Err(format!("{} gives {x}, its port says [{low}, {high}]", role.name).into());
                    }
                    Some(_) => return Err(format!("{} gives values that are no numbers", role.name).into()),
                    None => {}
                }
            }
        }
        Ok(format!("{} roles with 0, 1 and {ROWS} rows", self.roles.len()))
    }

    fn determinism(&self) -> Verdict {
        let (module, other) = (self.make()?, self.make()?);
        for role in &self.roles {
            let mut x = role.array(ROWS)?;
            let first = self.forward(&module, role, &mut x)?;
            if !self.forward(&module, role, &mut x)?.same_bits(&first) {
                return Err(format!("{} gives two outputs for one input", role.name).into());
            }
            if !self.forward(&other, role, &mut x)?.same_bits(&first) {
                return Err(format!("{} of another instance gives another output", role.name).into());
            }
        }
        Ok("the same to the bit, from two instances".into())
    }

    /// An instance lives on one thread, from its making to its end, and any thread will do.
    fn home(&self) -> Verdict {
        let outputs = || -> Result<Vec<Array>, Unmet> {
            let module = self.make()?;
            self.roles.iter().map(|role| self.forward(&module, role, &mut role.array(ROWS)?)).collect()
        };
        let here = outputs()?;
        let there = std::thread::scope(|scope| scope.spawn(outputs).join()).map_err(|_| "a thread panicked")??;
        match here.iter().zip(&there).all(|(one, other)| one.same_bits(other)) {
            true => Ok("the same on another thread".into()),
            false => Err("an instance of another thread gives another output".into()),
        }
    }

    fn batch(&self) -> Verdict {
        let module = self.make()?;
        let mut worst: f64 = 0.0;
        for role in &self.roles {
            let mut x = role.array(ROWS)?;
            let all = self.forward(&module, role, &mut x)?;
            let scale = (0..ROWS).flat_map(|row| all.row(row)).fold(1e-6, |most: f64, x| most.max(x.abs()));
            for row in 0..ROWS {
                let mut alone = zeros(&role.input.0.dtype, 1, &role.input.1)?;
                alone.set_row(0, &x.row(row));
                let one = self.forward(&module, role, &mut alone)?.row(0);
                let apart = one.iter().zip(all.row(row)).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / scale;
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
                        odd.forward(&module, role, &mut role.array(2)?)?;
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

    /// What was computed, or refused, before leaves no trace.
    fn state(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let mut x = role.array(ROWS)?;
            let first = self.forward(&module, role, &mut x)?;
            for other in &self.roles {
                self.forward(&module, other, &mut other.array(1)?)?;
            }
            let _ = module.forward(role::absent(&self.roles), &mut x, &mut zeros("f32", ROWS, &role.output.1)?);
            if !self.forward(&module, role, &mut x)?.same_bits(&first) {
                return Err(format!("after other calls, {} gives another output", role.name).into());
            }
        }
        Ok("calls do not depend on earlier ones".into())
    }

    /// Arrays of other shapes and types, and of no numbers, give an output or an error, never a panic.
    fn wrong_arrays(&self) -> Verdict {
        let (mut refused, mut tried) = (0, 0);
        for role in &self.roles {
            let rows = zeros("f32", ROWS, &role.output.1)?;
            let fewer = ("an output of fewer rows", role.array(ROWS)?, zeros("f32", ROWS - 1, &role.output.1)?);
            let inputs = wrong_inputs(role)?.into_iter().map(|(what, input)| (what, input, rows.clone()));
            for (what, mut input, mut output) in inputs.chain([fewer]) {
                // An instance of its own: what a wrong input leaves behind must not spoil the next try.
                let module = self.make()?;
                tried += 1;
                match module.forward(role.number, &mut input, &mut output) {
                    Ok(()) => {}
                    Err(refusal) if refusal.is_breach() => {
                        return Err(format!("{} of {what}: {refusal}", role.name).into());
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        let (module, absent) = (self.make()?, role::absent(&self.roles));
        let Some(role) = self.roles.first() else { return Err("it has no role".into()) };
        match module.forward(absent, &mut role.array(1)?, &mut zeros("f32", 1, &role.output.1)?) {
            Ok(()) => Err(format!("it plays role number {absent}, which its descriptor does not list").into()),
            Err(refusal) if refusal.is_breach() => Err(format!("role number {absent}: {refusal}").into()),
            Err(_) => Ok(format!("{refused} of {tried} refused")),
        }
    }

    /// Instances, and what calls take, are given back.
    fn leaks(&self) -> Verdict {
        let (rows, smallest) = role::leak_batch(&self.roles);
        let inputs = self.roles.iter().map(|role| role.array(rows)).collect::<Result<Vec<_>, _>>()?;
        memory::check(smallest, || {
            let module = self.make()?;
            for (role, x) in self.roles.iter().zip(&inputs) {
                self.forward(&module, role, &mut x.clone())?;
                let _ = module.forward(role.number, &mut x.clone(), &mut zeros("f32", 0, &role.output.1)?);
            }
            Ok(())
        })
    }
}

/// Inputs that no host passes: each with what is wrong with it.
fn wrong_inputs(role: &Role<'_>) -> Result<Vec<(&'static str, Array)>, Unmet> {
    let (port, sizes) = &role.input;
    let of = |sizes: &[i64]| zeros(&port.dtype, ROWS, sizes);
    let mut wrong = vec![("an axis more", of(&[sizes, &[1][..]].concat())?)];
    if let Some((last, others)) = sizes.split_last() {
        wrong.push(("an axis less", of(others)?));
        wrong.push(("another size", of(&[others, &[2 * last][..]].concat())?));
    }
    let other = if port.dtype == "f32" { "i64" } else { "f32" };
    wrong.push(("another dtype", zeros(other, ROWS, sizes)?));
    for (what, value) in [("no numbers", f64::NAN), ("infinities", f64::INFINITY), ("vast numbers", -1e30)] {
        let mut array = of(sizes)?;
        for row in 0..ROWS {
            let values = vec![value; array.row_size()];
            array.set_row(row, &values);
        }
        wrong.push((what, array));
    }
    Ok(wrong)
}

fn zeros(dtype: &str, rows: usize, sizes: &[i64]) -> Result<Array, Unmet> {
    Array::zeros(dtype, rows, sizes).ok_or_else(|| format!("there is no dtype `{dtype}`").into())
}

impl Role<'_> {
    /// `[row, axes of the input port]` of values that the port may carry.
    fn array(&self, rows: usize) -> Result<Array, Unmet> {
        let (port, sizes) = &self.input;
        let mut array = zeros(&port.dtype, rows, sizes)?;
        let (values, size) = (self.values(rows), array.row_size());
        for row in 0..rows {
            array.set_row(row, &values[row * size..(row + 1) * size]);
        }
        Ok(array)
    }
}
