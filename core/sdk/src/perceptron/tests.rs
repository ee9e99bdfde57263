#![allow(clippy::unwrap_used)] // helpers of tests may panic

use serde_json::{Value, json};
use tch::{Device, Kind};

use super::*;
use crate::descriptor::f32_port_in;
use crate::testkit::check_network;

/// Images `[channel, height, width]` between 0 and 1.
struct Image;

impl FlatArray for Image {
    const MODALITY: &'static str = "image";
    const NAME: &'static str = "image";
    const PORT: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);
}

/// Unbounded vectors of one fixed and one variable axis.
struct Drawing;

impl FlatArray for Drawing {
    const MODALITY: &'static str = "drawing";
    const NAME: &'static str = "drawing";
    const PORT: Port = f32_port(&[axis_of("point", "points"), crate::descriptor::fixed("coordinate", 3)]);
}

fn parameters(more: Value) -> Parameters {
    let mut all = json!({"channel": 1, "height": 4, "width": 5, "points": 8, "hidden": 16});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Parameters::new(all)
}

fn prompt(path: &nn::Path<'_>, hidden: i64, dropout: f64) -> Result<Prompt<Image>, Error> {
    Prompt::new(path, &parameters(json!({"hidden": hidden, "tokens": 2, "features": 6, "dropout": dropout})))
}

#[test]
fn axes_of_the_port_become_parameters() {
    let names = |text: &str| {
        let parameters: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
        parameters.keys().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let image = Autoencoder::<Image>::DESCRIPTOR;
    assert_eq!(names(image.parameters), ["channel", "height", "hidden", "latent", "width"]);
    assert_eq!(image.summary, "image <-> latent, a perceptron each way");
    assert_eq!(names(Autoencoder::<Drawing>::DESCRIPTOR.parameters), ["hidden", "latent", "points"]);
    let prompt = ["channel", "dropout", "features", "height", "hidden", "tokens", "width"];
    assert_eq!(names(Prompt::<Image>::DESCRIPTOR.parameters), prompt);
}

#[test]
fn an_autoencoder_maps_arrays_to_latents_and_back() {
    let variables = nn::VarStore::new(Device::Cpu);
    let module = Autoencoder::<Image>::new(&variables.root(), &parameters(json!({"latent": 7}))).unwrap();
    check_network(&variables, &[1, 4, 5], &[1, 4, 5], |x| module.decode(&module.encode(x, true)?, true));
    let latent = module.encode(&Tensor::zeros([2, 1, 4, 5], (Kind::Float, Device::Cpu)), false).unwrap();
    assert_eq!(latent.size(), [2, 7]);
}

#[test]
fn a_sigmoid_bounds_decoded_values_of_a_bounded_port_only() {
    let variables = nn::VarStore::new(Device::Cpu);
    let bounded = Autoencoder::<Image>::new(&variables.root(), &parameters(json!({"latent": 1}))).unwrap();
    let free = Autoencoder::<Drawing>::new(&(variables.root() / "free"), &parameters(json!({"latent": 1}))).unwrap();
    let far = Tensor::full([1, 1], 1e4, (Kind::Float, Device::Cpu));
    let largest = |array: Tensor| array.abs().max().double_value(&[]);
    assert!(largest(bounded.decode(&far, false).unwrap()) <= 1.0);
    let drawing = free.decode(&far, false).unwrap();
    assert_eq!(drawing.size(), [1, 8, 3]);
    assert!(largest(drawing) > 1.0);
}

#[test]
fn prompt_tokens_have_unit_length() {
    let variables = nn::VarStore::new(Device::Cpu);
    let module = prompt(&variables.root(), 16, 0.0).unwrap();
    let weights = Tensor::arange(6, (Kind::Float, Device::Cpu));
    // Weighted, because the sum of squares of a token of unit length is constant and has no gradient.
    check_network(&variables, &[1, 4, 5], &[2, 6], |x| Ok(module.embed(x, true)? * &weights));
    let array = Tensor::rand([3, 1, 4, 5], (Kind::Float, Device::Cpu));
    let lengths = module.embed(&array, false).unwrap().square().sum_dim_intlist([-1i64].as_slice(), false, None);
    assert!((lengths - 1.0).abs().max().double_value(&[]) < 1e-6, "f32");
}

#[test]
fn impossible_parameters_are_refused() {
    let variables = nn::VarStore::new(Device::Cpu);
    for height in [0, -1, i64::MAX] {
        let made = Autoencoder::<Image>::new(&variables.root(), &parameters(json!({"height": height, "latent": 7})));
        assert!(matches!(made, Err(Error::Parameters(_))), "height {height}");
    }
    for (hidden, dropout) in [(0, 0.1), (-1, 0.1), (i64::MAX, 0.1), (16, 1.0), (16, -0.1)] {
        let made = prompt(&variables.root(), hidden, dropout);
        assert!(matches!(made, Err(Error::Parameters(_))), "{hidden} units, dropout {dropout}");
    }
    let missing = Autoencoder::<Image>::new(&variables.root(), &Parameters::new(json!({"latent": 1, "hidden": 1})));
    assert!(matches!(missing, Err(Error::Parameters(text)) if text.contains("channel")));
}

/// Shipped weights and trained weights depend on these names and on this order of initialization.
#[test]
fn variables_keep_their_names() {
    let names = |variables: &nn::VarStore| {
        let mut names: Vec<_> = variables.variables().into_keys().collect();
        names.sort();
        names
    };
    let variables = nn::VarStore::new(Device::Cpu);
    let _module = Autoencoder::<Image>::new(&variables.root(), &parameters(json!({"latent": 7}))).unwrap();
    let layers = ["decoder.array", "decoder.hidden", "encoder.hidden", "encoder.latent"];
    let wanted: Vec<String> = layers.iter().flat_map(|l| [format!("{l}.bias"), format!("{l}.weight")]).collect();
    assert_eq!(names(&variables), wanted);
    let variables = nn::VarStore::new(Device::Cpu);
    let _module = prompt(&variables.root(), 16, 0.1).unwrap();
    let wanted: Vec<String> =
        ["first", "second", "tokens"].iter().flat_map(|l| [format!("{l}.bias"), format!("{l}.weight")]).collect();
    assert_eq!(names(&variables), wanted);
}
