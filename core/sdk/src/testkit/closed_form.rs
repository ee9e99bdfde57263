//! Weights and inputs as a closed form of their names, for comparisons with an implementation in another language:
//! only outputs are stored. `closed_form.py` beside this file computes the same.

use std::collections::BTreeMap;

use tch::{Tensor, nn};

/// offset + scale sin(1 + 0.7 h + 0.9 i), with h a hash of the name and i the index of the element, in f64, rounded to
/// f32.
pub fn closed_form(name: &str, shape: &[i64], scale: f64, offset: f64) -> Tensor {
    let weighed = name.bytes().enumerate().map(|(index, letter)| u64::from(letter) * (index as u64 + 1));
    let hash = weighed.sum::<u64>() % 101;
    let value = |i| (offset + scale * (1.0 + 0.7 * hash as f64 + 0.9 * i as f64).sin()) as f32;
    Tensor::from_slice(&(0..shape.iter().product::<i64>()).map(value).collect::<Vec<f32>>()).view(shape)
}

/// Sets every variable to its closed form. Activations stay near one: weights of layers have a deviation of about
/// 1 / sqrt(fan_in), those of norms are around 1, others around 0.
pub fn fill_variables(variables: &nn::VarStore) {
    let _no_grad = tch::no_grad_guard();
    for (name, mut variable) in BTreeMap::from_iter(variables.variables()) {
        let shape = variable.size();
        let (scale, offset) = match shape.as_slice() {
            [_, inputs @ ..] if !inputs.is_empty() => (1.4 / (inputs.iter().product::<i64>() as f64).sqrt(), 0.0),
            _ if name.ends_with("weight") => (0.2, 1.0),
            _ => (0.1, 0.0),
        };
        variable.copy_(&closed_form(&name, &shape, scale, offset));
    }
}

/// Compares an output with the numbers of the other implementation, in f32.
///
/// # Panics
/// If an element differs by more than 1e-4.
#[track_caller]
pub fn assert_golden(found: &Tensor, wanted: &[f32]) {
    assert_eq!(found.numel(), wanted.len());
    let worst = (found - Tensor::from_slice(wanted).view_as(found)).abs().max().double_value(&[]);
    assert!(worst <= 1e-4, "off by {worst}");
}
