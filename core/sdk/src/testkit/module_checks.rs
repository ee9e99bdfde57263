//! The promises that every module keeps, over tensors or over host arrays.

use serde_json::{Map, Value};

use super::host::Refusal;
use super::outcome::{Protocol, Unmet, Verdict};
use super::role::{self, Role};
use super::{BATCH_TOLERANCE, descriptor, hostile, memory, schema};

/// Rows of a batch.
pub(super) const ROWS: usize = 3;

/// An instance of a module behind the table of its interface. Arrays are `[row, axes of a port]`.
pub(super) trait Instance: Sized {
    /// The table of the interface.
    type Table: Sync + 'static;
    /// An array that crosses the interface.
    type Array: Send;
    /// True if two instances with the same parameters give the same outputs: nothing in them is random.
    const ALIKE: bool;

    fn create(table: &'static Self::Table, id: &str, parameters: &str) -> Result<Self, Refusal>;

    /// Random values that the role's input port may carry.
    fn random(role: &Role<'_>, rows: usize) -> Result<Self::Array, Unmet>;

    /// Runs one role for inference, and checks the output's shape and dtype.
    fn forward(&self, role: &Role<'_>, input: &mut Self::Array) -> Result<Self::Array, Unmet>;

    /// Makes a call that the module may refuse. `number` need not be the role's own.
    fn attempt(&self, number: u32, role: &Role<'_>, call: &mut Call<Self::Array>) -> Result<(), Refusal>;

    /// Makes a call with everything that it may allocate, and one that is refused.
    fn exercise(&self, role: &Role<'_>, input: &mut Self::Array) -> Result<(), Unmet>;

    /// Calls with inputs or outputs that no host passes.
    fn wrong_calls(role: &Role<'_>) -> Result<Vec<Call<Self::Array>>, Unmet>;

    /// One row of an input, as a batch of one.
    fn row(role: &Role<'_>, input: &Self::Array, row: usize) -> Result<Self::Array, Unmet>;

    /// All elements, row-major.
    fn values(array: &Self::Array) -> Result<Vec<f64>, Unmet>;

    fn same(one: &Self::Array, other: &Self::Array) -> bool;

    /// Copies of the variables.
    fn variables(&self) -> Result<Vec<Self::Array>, Unmet>;
}

/// A call with arrays of the checks' own choice.
pub(super) struct Call<A> {
    /// The input in a few words.
    pub what: &'static str,
    pub input: A,
    /// Rows of the output that the host allocates, if it allocates any.
    pub output_rows: usize,
}

/// A module with fixed parameters.
pub(super) struct Subject<'a, M: Instance> {
    table: &'static M::Table,
    descriptor: &'a descriptor::Module,
    parameters: Map<String, Value>,
    pub roles: Vec<Role<'a>>,
}

/// Checks a module with the given parameters, and defaults for the others. Returns it for further checks, unless it
/// cannot be created.
pub(super) fn run<'a, M: Instance>(
    table: &'static M::Table,
    descriptor: &'a descriptor::Module,
    given: &Map<String, Value>,
    protocol: &mut Protocol<'_>,
) -> Option<Subject<'a, M>> {
    protocol.check("defaults", || schema::check(&descriptor.parameters));
    let mut made = None;
    protocol.check("create", || {
        let parameters = schema::values(&descriptor.parameters, given)?;
        let subject = Subject::<M>::new(table, descriptor, parameters)?;
        subject.make()?;
        subject.make()?;
        let text = role::listed(&subject.roles);
        made = Some(subject);
        Ok(text)
    });
    let subject = made?;
    protocol.check("parameters", || hostile::parameters(&subject.parameters, |text| subject.make_with(text).map(drop)));
    protocol.check("shapes", || subject.shapes());
    protocol.check("determinism", || subject.determinism());
    protocol.check("batch", || subject.batch());
    protocol.check("home", || subject.home());
    protocol.check("odd-sizes", || subject.odd_sizes());
    protocol.check("state", || subject.state());
    protocol.check("wrong-arrays", || subject.wrong_arrays());
    protocol.check("leaks", || subject.leaks());
    Some(subject)
}

impl<'a, M: Instance> Subject<'a, M> {
    fn new(
        table: &'static M::Table,
        descriptor: &'a descriptor::Module,
        parameters: Map<String, Value>,
    ) -> Result<Self, Unmet> {
        let roles = Role::all(descriptor, &parameters)?;
        Ok(Subject { table, descriptor, parameters, roles })
    }

    pub fn make(&self) -> Result<M, Refusal> {
        self.make_by(M::create)
    }

    /// Makes an instance by a function of table, id and parameters.
    pub fn make_by(
        &self,
        create: impl FnOnce(&'static M::Table, &str, &str) -> Result<M, Refusal>,
    ) -> Result<M, Refusal> {
        create(self.table, &self.descriptor.id, &Value::Object(self.parameters.clone()).to_string())
    }

    fn make_with(&self, parameters: &str) -> Result<M, Refusal> {
        M::create(self.table, &self.descriptor.id, parameters)
    }

    /// Shape, dtype and range match the descriptor for 0, 1 and more rows.
    fn shapes(&self) -> Verdict {
        let module = self.make()?;
        for role in &self.roles {
            let [low, high] = role.output.0.range.unwrap_or([f64::MIN, f64::MAX]);
            // Half a unit in the last place of f32, relative to the range.
            let slack = if role.output.0.range.is_some() { (high - low) * f64::from(f32::EPSILON) } else { 0.0 };
            for rows in [0, 1, ROWS] {
                let values = M::values(&module.forward(role, &mut M::random(role, rows)?)?)?;
                if values.iter().any(|x| !x.is_finite()) {
                    return Err(format!("{} gives NaN or infinite values", role.name).into());
                }
                if let Some(x) = values.iter().find(|x| **x < low - slack || **x > high + slack) {
                    return Err(format!("{} gives {x}, but its port says [{low}, {high}]", role.name).into());
                }
            }
        }
        Ok(format!("{} roles with 0, 1 and {ROWS} rows", self.roles.len()))
    }

    fn determinism(&self) -> Verdict {
        let module = self.make()?;
        let other = self.make()?;
        for role in &self.roles {
            let mut x = M::random(role, ROWS)?;
            let first = module.forward(role, &mut x)?;
            if !M::same(&module.forward(role, &mut x)?, &first) {
                return Err(format!("{} gives two outputs for one input", role.name).into());
            }
            if M::ALIKE && !M::same(&other.forward(role, &mut x)?, &first) {
                return Err(format!("{} of another instance gives another output", role.name).into());
            }
        }
        Ok("equal to the bit".into())
    }

    /// An instance lives on one thread from `create` to `destroy`, and any thread will do.
    fn home(&self) -> Verdict {
        let outputs = || -> Result<Vec<M::Array>, Unmet> {
            let module = self.make()?;
            module.variables()?;
            self.roles.iter().map(|role| module.forward(role, &mut M::random(role, ROWS)?)).collect()
        };
        let here = outputs()?;
        let there = std::thread::scope(|scope| scope.spawn(outputs).join()).map_err(|_| "a thread panicked")??;
        if M::ALIKE && here.iter().zip(&there).any(|(one, other)| !M::same(one, other)) {
            return Err("an instance on another thread gives another output".into());
        }
        Ok("works on another thread".into())
    }

    /// A row gives the same output alone and in a batch.
    fn batch(&self) -> Verdict {
        let module = self.make()?;
        let mut worst: f64 = 0.0;
        for role in &self.roles {
            let mut x = M::random(role, ROWS)?;
            let all = M::values(&module.forward(role, &mut x)?)?;
            let scale = all.iter().fold(1e-6, |most: f64, x| most.max(x.abs()));
            for (row, wanted) in all.chunks(all.len().div_ceil(ROWS).max(1)).enumerate() {
                let alone = M::values(&module.forward(role, &mut M::row(role, &x, row)?)?)?;
                let apart = alone.iter().zip(wanted).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / scale;
                worst = worst.max(apart);
                if apart > BATCH_TOLERANCE {
                    let name = role.name;
                    return Err(format!("{name}: row {row} alone differs by {apart:.1e} of the largest value").into());
                }
            }
        }
        Ok(format!("1 and {ROWS} rows agree within {worst:.1e} (at most {BATCH_TOLERANCE:.0e}, f32)"))
    }

    /// Other axis sizes work, or `create` refuses them.
    fn odd_sizes(&self) -> Verdict {
        let mut tried = Vec::new();
        for (words, parameters) in role::odd_sizes(self.descriptor, &self.parameters) {
            let odd = Subject::<M>::new(self.table, self.descriptor, parameters)?;
            match odd.make() {
                Err(refusal) if refusal.is_breach() => return Err(format!("{words}: {refusal}").into()),
                Err(_) => tried.push(format!("{words} refused")),
                Ok(module) => {
                    for role in &odd.roles {
                        module.forward(role, &mut M::random(role, 2)?)?;
                    }
                    tried.push(words);
                }
            }
        }
        if tried.is_empty() { Err(Unmet::Skipped(role::FIXED_SIZES.into())) } else { Ok(tried.join(", ")) }
    }

    /// Without training, a call changes no variable, and earlier calls do not change later outputs.
    fn state(&self) -> Verdict {
        let module = self.make()?;
        let before = module.variables()?;
        for role in &self.roles {
            let mut x = M::random(role, ROWS)?;
            let first = module.forward(role, &mut x)?;
            for other in &self.roles {
                module.forward(other, &mut M::random(other, ROWS + 2)?)?;
            }
            let mut call = Call { what: "an absent role", input: x, output_rows: ROWS };
            let _ = module.attempt(role::absent(&self.roles), role, &mut call);
            if !M::same(&module.forward(role, &mut call.input)?, &first) {
                return Err(format!("after other calls, {} gives another output", role.name).into());
            }
        }
        let after = module.variables()?;
        if before.len() != after.len() || before.iter().zip(&after).any(|(one, other)| !M::same(one, other)) {
            return Err("a call without training changes variables".into());
        }
        Ok("calls do not depend on earlier ones".into())
    }

    /// Arrays of other shapes or dtypes, and of NaN, give an output or an error, never a panic.
    fn wrong_arrays(&self) -> Verdict {
        let mut refused = 0;
        let mut tried = 0;
        for role in &self.roles {
            for mut call in M::wrong_calls(role)? {
                // Each try gets its own instance, because a wrong input may poison it.
                let answer = self.make()?.attempt(role.number, role, &mut call);
                tried += 1;
                match answer {
                    Ok(()) => {}
                    Err(refusal) if refusal.is_breach() => {
                        return Err(format!("{} of {}: {refusal}", role.name, call.what).into());
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        let Some(role) = self.roles.first() else { return Err("it has no role".into()) };
        let absent = role::absent(&self.roles);
        let mut call = Call { what: "an absent role", input: M::random(role, 1)?, output_rows: 1 };
        match self.make()?.attempt(absent, role, &mut call) {
            Ok(()) => Err(format!("it runs role number {absent}, which its descriptor does not list").into()),
            Err(refusal) if refusal.is_breach() => Err(format!("role number {absent}: {refusal}").into()),
            Err(_) => Ok(format!("{refused} of {tried} refused")),
        }
    }

    /// Instances and calls free what they allocate.
    fn leaks(&self) -> Verdict {
        let (rows, smallest) = role::leak_batch(&self.roles);
        let mut inputs = self.roles.iter().map(|role| M::random(role, rows)).collect::<Result<Vec<_>, _>>()?;
        memory::check(smallest, || {
            let module = self.make()?;
            self.roles.iter().zip(&mut inputs).try_for_each(|(role, x)| module.exercise(role, x))
        })
    }
}
