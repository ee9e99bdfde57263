//! An instance of a module over tensors, behind its C table.

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use tch::{Kind, Tensor};

use super::descriptor::Port;
use super::host::{Listening, Refusal, heard};
use super::module_checks::{Call, Instance, ROWS};
use super::outcome::Unmet;
use super::role::Role;
use super::variable::Variable;
use crate::abi::dry::DryInterface;
use crate::abi::torch::{TensorHandle, TorchInterface};
use crate::abi::{Report, StrView};

/// A module on the CPU, called as a host calls it.
pub(super) struct Module {
    table: &'static TorchInterface,
    instance: *mut c_void,
}

/// The `create` of either table.
type Create = unsafe extern "C" fn(StrView, StrView, i64, *const Report, *mut *mut c_void) -> u32;

impl Module {
    /// Makes an instance without memory.
    pub fn dry(
        dry: &DryInterface,
        table: &'static TorchInterface,
        id: &str,
        parameters: &str,
    ) -> Result<Self, Refusal> {
        Module::by(dry.create, table, id, parameters)
    }

    fn by(create: Option<Create>, table: &'static TorchInterface, id: &str, parameters: &str) -> Result<Self, Refusal> {
        let create = create.ok_or_else(|| Refusal::absent("create"))?;
        let call = Listening::begin(0);
        let mut instance = std::ptr::null_mut();
        let id = StrView::new(id.as_bytes());
        let parameters = StrView::new(parameters.as_bytes());
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, parameters, -1, call.report(), &mut instance) };
        call.end(code)?;
        if instance.is_null() {
            return Err(Refusal::broken("`create` succeeded and gave no instance"));
        }
        Ok(Module { table, instance })
    }

    /// Its parameters and buffers, in the order in which it visits them.
    pub fn visit(&self) -> Result<Vec<Variable>, Refusal> {
        let visit = self.table.parameters.ok_or_else(|| Refusal::absent("parameters"))?;
        let call = Listening::begin(0);
        // SAFETY: the report lives until the call returns, and the context is a number.
        let code = unsafe { visit(self.instance, on_variable, call.context(), call.report()) };
        Ok(call.end(code)?.variables)
    }

    /// Runs one role by its number.
    fn call(&self, role: u32, input: &Tensor, train: bool) -> Result<Tensor, Refusal> {
        let forward = self.table.forward.ok_or_else(|| Refusal::absent("forward"))?;
        let call = Listening::begin(0);
        let handle: TensorHandle = input.as_ptr().cast_mut().cast();
        let mut output: TensorHandle = std::ptr::null_mut();
        // SAFETY: the input handle is borrowed for the call, all else lives until it returns.
        let code = unsafe { forward(self.instance, role, u32::from(train), &handle, 1, &mut output, 1, call.report()) };
        call.end(code)?;
        if output.is_null() || !output.cast::<*const c_void>().is_aligned() {
            return Err(Refusal::broken("`forward` succeeded and gave no tensor"));
        }
        if output == handle {
            return Err(Refusal::broken("`forward` gave back its input's handle"));
        }
        // SAFETY: the call succeeded, so we own the output handle.
        let output = unsafe { Tensor::from_ptr(output.cast()) };
        if output.defined() { Ok(output) } else { Err(Refusal::broken("`forward` gave an undefined tensor")) }
    }

    /// Runs one role, and checks the output's shape and dtype.
    pub fn checked(&self, role: &Role<'_>, input: &Tensor, train: bool) -> Result<Tensor, Unmet> {
        let of = |text: String| format!("{} of {:?}: {text}", role.name, input.size());
        let output = self.call(role.number, input, train).map_err(|refusal| of(refusal.to_string()))?;
        let rows = input.size().first().copied();
        let wanted: Vec<i64> = rows.into_iter().chain(role.output.1.iter().copied()).collect();
        let kind = kind(role.output.0);
        if output.size() != wanted || output.kind() != kind {
            let text = format!("gave {:?} {:?}, the descriptor says {wanted:?} {kind:?}", output.size(), output.kind());
            return Err(of(text).into());
        }
        Ok(output)
    }
}

impl Instance for Module {
    type Table = TorchInterface;
    type Array = Tensor;
    const ALIKE: bool = false;

    fn create(table: &'static TorchInterface, id: &str, parameters: &str) -> Result<Self, Refusal> {
        Module::by(table.create, table, id, parameters)
    }

    fn random(role: &Role<'_>, rows: usize) -> Result<Tensor, Unmet> {
        Ok(random(role, rows))
    }

    fn forward(&self, role: &Role<'_>, input: &mut Tensor) -> Result<Tensor, Unmet> {
        tch::no_grad(|| self.checked(role, input, false))
    }

    fn attempt(&self, number: u32, _: &Role<'_>, call: &mut Call<Tensor>) -> Result<(), Refusal> {
        tch::no_grad(|| self.call(number, &call.input, false)).map(drop)
    }

    fn exercise(&self, role: &Role<'_>, input: &mut Tensor) -> Result<(), Unmet> {
        drop(self.checked(role, input, true)?);
        let _ = self.call(role.number, &Tensor::from(0.5f32), false);
        Ok(())
    }

    fn wrong_calls(role: &Role<'_>) -> Result<Vec<Call<Tensor>>, Unmet> {
        let x = random(role, ROWS);
        let last = role.input.1.len() as i64;
        let floats = x.f_to_kind(Kind::Float)?;
        let inputs = [
            ("another size", Tensor::f_cat(&[&x, &x], last)?),
            ("an axis less", x.f_select(last, 0)?),
            ("an axis more", x.f_unsqueeze(-1)?),
            ("no axis", Tensor::from(0.5f32)),
            ("doubles", x.f_to_kind(Kind::Double)?),
            ("NaN", floats.f_mul_scalar(f64::NAN)?),
            ("infinities", floats.f_mul_scalar(0.0)?.f_add_scalar(f64::INFINITY)?),
        ];
        Ok(inputs.into_iter().map(|(what, input)| Call { what, input, output_rows: ROWS }).collect())
    }

    fn row(_: &Role<'_>, input: &Tensor, row: usize) -> Result<Tensor, Unmet> {
        Ok(input.f_narrow(0, row as i64, 1)?)
    }

    fn values(array: &Tensor) -> Result<Vec<f64>, Unmet> {
        Ok(Vec::try_from(array.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?)
    }

    fn same(one: &Tensor, other: &Tensor) -> bool {
        one == other
    }

    fn variables(&self) -> Result<Vec<Tensor>, Unmet> {
        Ok(self.visit()?.iter().map(|variable| variable.tensor.detach().copy()).collect())
    }
}

/// Random values `[row, axes of the input port]` that the port may carry.
pub(super) fn random(role: &Role<'_>, rows: usize) -> Tensor {
    let (port, sizes) = &role.input;
    let shape: Vec<i64> = std::iter::once(rows as i64).chain(sizes.iter().copied()).collect();
    Tensor::from_slice(&role.values(rows)).reshape(shape).to_kind(kind(port))
}

fn kind(port: &Port) -> Kind {
    match port.dtype.as_str() {
        "i64" => Kind::Int64,
        "u8" => Kind::Uint8,
        _ => Kind::Float,
    }
}

impl From<tch::TchError> for Unmet {
    fn from(error: tch::TchError) -> Self {
        format!("libtorch: {error}").into()
    }
}

unsafe extern "C" fn on_variable(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32) {
    heard(context, |heard| {
        // SAFETY: the name is readable until we return.
        match unsafe { variable(name, tensor, trainable != 0) } {
            Ok(variable) => heard.variables.push(variable),
            Err(text) => heard.odd = Some(text),
        }
    });
}

/// # Safety
/// The name is readable, and an aligned handle is a tensor.
unsafe fn variable(name: StrView, tensor: TensorHandle, trainable: bool) -> Result<Variable, String> {
    // SAFETY: as the caller promises.
    let name = unsafe { name.bytes() }.map_err(|why| format!("the name of a parameter {why}"))?;
    let name = std::str::from_utf8(name).map_err(|_| "the name of a parameter is not UTF-8")?;
    if tensor.is_null() || !tensor.cast::<*const c_void>().is_aligned() {
        return Err(format!("parameter `{name}` has no tensor"));
    }
    // SAFETY: the tensor is borrowed; the clone shares its memory and keeps it alive.
    let borrowed = ManuallyDrop::new(unsafe { Tensor::from_ptr(tensor.cast()) });
    if !borrowed.defined() {
        return Err(format!("parameter `{name}` is an undefined tensor"));
    }
    Ok(Variable { name: name.into(), tensor: borrowed.shallow_clone(), trainable })
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}
