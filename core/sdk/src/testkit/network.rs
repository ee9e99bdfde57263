//! A check of a network alone, without the ABI, for the unit tests of plugins.

use std::collections::BTreeMap;

use tch::{Kind, Tensor, nn};

use crate::Error;

/// Checks the shape of a network's output for 0, 1 and 3 rows, and that finite gradients reach its input and every
/// trainable variable. `input` and `output` are sizes without the row axis.
///
/// # Panics
/// If the network fails the check.
pub fn check_network(
    variables: &nn::VarStore,
    input: &[i64],
    output: &[i64],
    forward: impl Fn(&Tensor) -> Result<Tensor, Error>,
) {
    let rows = |n: i64, sizes: &[i64]| [&[n], sizes].concat();
    let run = |x: &Tensor| forward(x).unwrap_or_else(|error| panic!("{:?}: {error}", x.size()));
    for n in [0, 1, 3] {
        let y = run(&Tensor::rand(rows(n, input), (Kind::Float, variables.device())));
        assert_eq!(y.size(), rows(n, output), "output for {n} rows");
    }

    let x = Tensor::rand(rows(3, input), (Kind::Float, variables.device())).set_requires_grad(true);
    let y = run(&x);
    y.square().sum(Kind::Float).backward();
    check_gradient("the input", &x);
    for (name, variable) in BTreeMap::from_iter(variables.variables()) {
        if variable.requires_grad() {
            check_gradient(&name, &variable);
        }
    }
}

fn check_gradient(name: &str, tensor: &Tensor) {
    let gradient = tensor.grad();
    assert!(gradient.defined(), "no gradient reaches {name}");
    let largest = gradient.abs().max().double_value(&[]);
    assert!(largest.is_finite() && largest > 0.0, "the largest gradient of {name} is {largest}");
}
