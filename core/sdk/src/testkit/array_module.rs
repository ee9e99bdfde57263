//! An instance of an array module, behind its C table.

use std::ffi::c_void;

use super::array::Array;
use super::host::{Listening, Refusal};
use super::module_checks::{Call, Instance, ROWS};
use super::outcome::Unmet;
use super::role::Role;
use crate::abi::StrView;
use crate::abi::array::ArrayInterface;

/// An array module, called as a host calls it.
pub(super) struct ArrayModule {
    table: &'static ArrayInterface,
    instance: *mut c_void,
}

impl ArrayModule {
    /// Runs one role by its number. The host passes an `output` of zeros.
    fn call(&self, role: u32, input: &mut Array, output: &mut Array) -> Result<(), Refusal> {
        let forward = self.table.forward.ok_or_else(|| Refusal::absent("forward"))?;
        let before = input.clone();
        let call = Listening::begin(0);
        // SAFETY: arrays and report live until the call returns.
        let code = unsafe { forward(self.instance, role, &input.view(), 1, &output.view(), 1, call.report()) };
        if !before.same_bits(input) {
            return Err(Refusal::broken("`forward` changed its input, which is read-only"));
        }
        if !output.is_guarded() {
            return Err(Refusal::broken("`forward` wrote out of the bounds of its output"));
        }
        call.end(code).map(drop)
    }
}

impl Instance for ArrayModule {
    type Table = ArrayInterface;
    type Array = Array;
    const ALIKE: bool = true;

    fn create(table: &'static ArrayInterface, id: &str, parameters: &str) -> Result<Self, Refusal> {
        let create = table.create.ok_or_else(|| Refusal::absent("create"))?;
        let call = Listening::begin(0);
        let mut instance = std::ptr::null_mut();
        let id = StrView::new(id.as_bytes());
        let parameters = StrView::new(parameters.as_bytes());
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, parameters, call.report(), &mut instance) };
        call.end(code)?;
        if instance.is_null() {
            return Err(Refusal::broken("`create` succeeded and gave no instance"));
        }
        Ok(ArrayModule { table, instance })
    }

    fn random(role: &Role<'_>, rows: usize) -> Result<Array, Unmet> {
        let (port, sizes) = &role.input;
        let mut array = zeros(&port.dtype, rows, sizes)?;
        let values = role.values(rows);
        let size = array.row_size();
        for row in 0..rows {
            array.set_row(row, &values[row * size..(row + 1) * size]);
        }
        Ok(array)
    }

    fn forward(&self, role: &Role<'_>, input: &mut Array) -> Result<Array, Unmet> {
        let dtype = &role.output.0.dtype;
        if dtype != "f32" {
            return Err(format!("{} gives {dtype}, but outputs of array modules are f32", role.name).into());
        }
        let mut output = zeros(dtype, input.rows(), &role.output.1)?;
        let called = self.call(role.number, input, &mut output);
        called.map_err(|refusal| format!("{} of {} rows: {refusal}", role.name, input.rows()))?;
        Ok(output)
    }

    fn attempt(&self, number: u32, role: &Role<'_>, call: &mut Call<Array>) -> Result<(), Refusal> {
        let output = Array::zeros("f32", call.output_rows, &role.output.1);
        let mut output = output.ok_or_else(|| Refusal::broken("there is no dtype `f32`"))?;
        self.call(number, &mut call.input, &mut output)
    }

    fn exercise(&self, role: &Role<'_>, input: &mut Array) -> Result<(), Unmet> {
        self.forward(role, input)?;
        let _ = self.call(role.number, input, &mut zeros("f32", 0, &role.output.1)?);
        Ok(())
    }

    fn wrong_calls(role: &Role<'_>) -> Result<Vec<Call<Array>>, Unmet> {
        let (port, sizes) = &role.input;
        let of = |sizes: &[i64]| zeros(&port.dtype, ROWS, sizes);
        let mut inputs = vec![("an axis more", of(&[sizes, &[1][..]].concat())?)];
        if let Some((last, others)) = sizes.split_last() {
            inputs.push(("an axis less", of(others)?));
            inputs.push(("another size", of(&[others, &[2 * last][..]].concat())?));
        }
        let other = if port.dtype == "f32" { "i64" } else { "f32" };
        inputs.push(("another dtype", zeros(other, ROWS, sizes)?));
        for (what, value) in [("NaN", f64::NAN), ("infinities", f64::INFINITY), ("huge numbers", -1e30)] {
            let mut array = of(sizes)?;
            let values = vec![value; array.row_size()];
            (0..ROWS).for_each(|row| array.set_row(row, &values));
            inputs.push((what, array));
        }
        let mut calls: Vec<_> =
            inputs.into_iter().map(|(what, input)| Call { what, input, output_rows: ROWS }).collect();
        let input = Self::random(role, ROWS)?;
        calls.push(Call { what: "an output with fewer rows", input, output_rows: ROWS - 1 });
        Ok(calls)
    }

    fn row(role: &Role<'_>, input: &Array, row: usize) -> Result<Array, Unmet> {
        let mut alone = zeros(&role.input.0.dtype, 1, &role.input.1)?;
        alone.set_row(0, &input.row(row));
        Ok(alone)
    }

    fn values(array: &Array) -> Result<Vec<f64>, Unmet> {
        Ok((0..array.rows()).flat_map(|row| array.row(row)).collect())
    }

    fn same(one: &Array, other: &Array) -> bool {
        one.same_bits(other)
    }

    fn variables(&self) -> Result<Vec<Array>, Unmet> {
        Ok(Vec::new())
    }
}

fn zeros(dtype: &str, rows: usize, sizes: &[i64]) -> Result<Array, Unmet> {
    Array::zeros(dtype, rows, sizes).ok_or_else(|| format!("there is no dtype `{dtype}`").into())
}

impl Drop for ArrayModule {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}
