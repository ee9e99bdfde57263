//! The module `classifier`.

use anyflow_sdk::layers::{ClassifierHead, Conv2d, elements, halve};
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{
    Error, FeatureExtractor, Module, ModuleDescriptor, Parameters, PerceptualEncoder, Role, RoleDescriptor, Scorer,
    descriptor::*,
};

/// A small convolutional network for small images: 65,000 parameters for 28 x 28.
pub struct Classifier {
    fine: Conv2d,
    coarse: Conv2d,
    head: ClassifierHead,
}

const INPUT: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);
/// Units of the last hidden layer.
const FEATURES: i64 = 64;
/// Channels of the two convolutions.
const MAPS: [i64; 2] = [16, 32];
/// Activations of both convolutions at every pixel of the image.
const ACTIVATIONS: Port = f32_port(&[fixed("map", MAPS[0] + MAPS[1]), axis("height"), axis("width")]);
/// Lengths of activation vectors are clamped to this before the division: zeros stay zeros.
const SHORTEST: f64 = 1e-10;

#[derive(serde::Deserialize)]
struct Config {
    channel: i64,
    height: i64,
    width: i64,
    classes: i64,
}

impl Module for Classifier {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "classifier",
        modality: "image",
        summary: "image -> score of each class, a small convolutional network",
        roles: &[
            RoleDescriptor { role: Role::Score, input: INPUT, output: f32_port(&[axis_of("class", "classes")]) },
            RoleDescriptor { role: Role::Features, input: INPUT, output: f32_port(&[fixed("feature", FEATURES)]) },
            RoleDescriptor { role: Role::Perceptual, input: INPUT, output: ACTIVATIONS },
        ],
        parameters: r#"{
            "channel": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 12},
            "width": {"type": "integer", "minimum": 12},
            "classes": {"type": "integer", "minimum": 2, "default": 10}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { channel, height, width, classes } = parameters.read()?;
        elements(&[channel, height, width])?;
        // The side after both convolutions: halved, minus the edge of the second kernel, halved.
        let side = |full: i64| (full / 2 - 4) / 2;
        let [fine, coarse] = MAPS;
        let flat = elements(&[coarse, side(height), side(width)]).map_err(|_| {
            Error::Parameters(format!("images of {width} x {height} are too small; the least is 12 x 12"))
        })?;
        Ok(Classifier {
            fine: Conv2d::new(&(path / "fine"), channel, fine, 5, 2)?,
            coarse: Conv2d::new(&(path / "coarse"), fine, coarse, 5, 0)?,
            head: ClassifierHead::new(path, flat, FEATURES, classes)?,
        })
    }
}

impl Scorer for Classifier {
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        self.head.scores(&self.features(value, train)?)
    }
}

impl Classifier {
    /// Activations of the two convolutions, each `[row, map, height, width]`.
    fn maps(&self, value: &Tensor) -> Result<[Tensor; 2], Error> {
        let fine = self.fine.forward(value)?.f_relu()?;
        let coarse = self.coarse.forward(&halve(&fine)?)?.f_relu()?;
        Ok([fine, coarse])
    }
}

impl FeatureExtractor for Classifier {
    fn features(&self, value: &Tensor, train: bool) -> Result<Tensor, Error> {
        let [_, coarse] = self.maps(value)?;
        self.head.features(&halve(&coarse)?, train)
    }
}

impl PerceptualEncoder for Classifier {
    /// The normalized activations of each convolution at each pixel, scaled so that summed squared differences are a
    /// mean over pixels: between 0 and 2 per convolution.
    fn perceive(&self, value: &Tensor, _train: bool) -> Result<Tensor, Error> {
        let (_, _, height, width) = value.size4()?;
        let directions = self.maps(value)?.into_iter().map(|maps| {
            let length = maps.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), true)?.f_clamp_min(SHORTEST)?;
            // Scales the smaller second map up to the image: each of its pixels covers several.
            maps.f_div(&length)?.f_upsample_nearest2d([height, width], None, None)
        });
        let all = Tensor::f_cat(&directions.collect::<Result<Vec<_>, _>>()?, 1)?;
        Ok(all.f_div_scalar(((height * width) as f64).sqrt())?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::{Device, Kind};
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn parameters(height: i64) -> Parameters {
        Parameters::new(json!({"channel": 1, "height": height, "width": 28, "classes": 10}))
    }

    #[test]
    fn images_become_scores() {
        for height in [12, 13, 28] {
            let variables = nn::VarStore::new(Device::Cpu);
            let module = Classifier::new(&variables.root(), &parameters(height)).unwrap();
            check_network(&variables, &[1, height, 28], &[10], |x| module.score(x, true));
        }
    }

    /// As LPIPS of two images: per layer, the squared difference of normalized activations, averaged over pixels.
    #[test]
    fn perceptual_distances_are_means_over_pixels() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = Classifier::new(&variables.root(), &parameters(28)).unwrap();
        let images = Tensor::rand([2, 1, 28, 28], (Kind::Float, Device::Cpu));
        let seen = module.perceive(&images, false).unwrap();
        assert_eq!(seen.size(), [2, 48, 28, 28]);
        let sum = (seen.get(0) - seen.get(1)).square().sum(Kind::Double).double_value(&[]);
        let mut wanted = 0.0;
        for maps in module.maps(&images).unwrap() {
            let side = maps.size()[2];
            let maps =
                &maps / maps.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt().clamp_min(1e-10);
            let by_pixel = (maps.get(0) - maps.get(1)).square().sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
            // Of the 28 pixels in a line, each of the 10 of the second layer covers 2 or 3.
            let covers: Vec<f64> =
                (0..side).map(|i| (0..28).filter(|pixel| pixel * side / 28 == i).count() as f64).collect();
            let covers = Tensor::from_slice(&covers);
            wanted += (by_pixel * covers.outer(&covers)).sum(Kind::Double).double_value(&[]) / (28.0 * 28.0);
        }
        assert!((sum - wanted).abs() < 1e-5 && sum > 0.01, "f32: {sum}, {wanted}");
    }

    #[test]
    fn it_has_65_thousand_parameters() {
        let variables = nn::VarStore::new(Device::Cpu);
        Classifier::new(&variables.root(), &parameters(28)).unwrap();
        let parameters: usize = variables.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(parameters, 65_162);
    }

    #[test]
    fn too_small_images_are_refused() {
        let variables = nn::VarStore::new(Device::Cpu);
        for height in [11, 0, -5] {
            let made = Classifier::new(&variables.root(), &parameters(height));
            assert!(matches!(made, Err(Error::Parameters(_))), "height {height}");
        }
    }
}
