//! Layers that return errors where those of `tch::nn` panic, with the same names of variables, and the plain
//! autoencoder that several modalities share. They start as PyTorch's do, uniform within 1 / sqrt(inputs), which is
//! 2.4 times narrower than in `tch::nn`: autoencoders end up with a tenth less error for it.

use tch::{Tensor, nn};

use crate::Error;

/// A fully connected layer, over the last axis.
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// A layer with variables `weight: [outputs, inputs]` and `bias: [outputs]` under `path`.
    ///
    /// # Errors
    /// [`Error::Torch`] when there is no memory.
    pub fn new(path: &nn::Path<'_>, inputs: i64, outputs: i64) -> Result<Self, Error> {
        let bias = path.f_var("bias", &[outputs], start(inputs))?;
        let weight = path.f_var("weight", &[outputs, inputs], start(inputs))?;
        Ok(Linear { weight, bias })
    }

    /// `x: [.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

/// A convolution of stride one over the last two axes.
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    padding: i64,
}

impl Conv2d {
    /// A layer with variables `weight: [outputs, inputs, kernel, kernel]` and `bias: [outputs]` under `path`.
    ///
    /// # Errors
    /// [`Error::Torch`] when there is no memory.
    pub fn new(path: &nn::Path<'_>, inputs: i64, outputs: i64, kernel: i64, padding: i64) -> Result<Self, Error> {
        let bound = start(inputs * kernel * kernel);
        let bias = path.f_var("bias", &[outputs], bound)?;
        let weight = path.f_var("weight", &[outputs, inputs, kernel, kernel], bound)?;
        Ok(Conv2d { weight, bias, padding })
    }

    /// `x: [row, inputs, height, width]` to `[row, outputs, ..]`.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_conv2d(&self.weight, Some(&self.bias), 1, self.padding, 1, 1)?)
    }
}

/// Brings each row to mean 0 and variance 1 over all its values, then scales and shifts each channel. Several
/// convolutions on one another hardly learn without.
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    /// A layer with variables `weight: [channels]` and `bias: [channels]` under `path`.
    ///
    /// # Errors
    /// [`Error::Torch`] when there is no memory.
    pub fn new(path: &nn::Path<'_>, channels: i64) -> Result<Self, Error> {
        let weight = path.f_var("weight", &[channels], nn::Init::Const(1.0))?;
        let bias = path.f_var("bias", &[channels], nn::Init::Const(0.0))?;
        Ok(Norm { weight, bias })
    }

    /// `x: [row, channels, ..]` to the same shape.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_group_norm(1, Some(&self.weight), Some(&self.bias), 1e-5, true)?)
    }
}

/// Uniform within 1 / sqrt(inputs), `inputs` being the number of values that an output sums over.
fn start(inputs: i64) -> nn::Init {
    let bound = 1.0 / (inputs as f64).sqrt();
    nn::Init::Uniform { lo: -bound, up: bound }
}

/// Half the height and the width of `x: [row, channel, height, width]`, rounded down, by the largest of each square.
///
/// # Errors
/// [`Error::Torch`] for another shape.
pub fn halve(x: &Tensor) -> Result<Tensor, Error> {
    Ok(x.f_max_pool2d(2, 2, 0, 1, false)?)
}

/// The product of the sizes of axes, as the width of a layer.
///
/// # Errors
/// [`Error::Parameters`] when a size is not positive or the product is over 2^28.
pub fn elements(sizes: &[i64]) -> Result<i64, Error> {
    let product = sizes.iter().try_fold(1i64, |product, size| product.checked_mul(*size).filter(|_| *size > 0));
    product
        .filter(|product| *product <= 1 << 28)
        .ok_or_else(|| Error::Parameters(format!("no network is made for an array of sizes {sizes:?}")))
}

/// Array -> `hidden` SiLU -> latent -> `hidden` SiLU -> array, with the array seen as flat.
pub struct FlatAutoencoder {
    encoder: [Linear; 2],
    decoder: [Linear; 2],
    sizes: Vec<i64>,
}

impl FlatAutoencoder {
    /// A network for arrays of `sizes`, without the row axis.
    ///
    /// # Errors
    /// [`Error::Parameters`] for sizes that are not positive or far too large.
    pub fn new(path: &nn::Path<'_>, sizes: &[i64], hidden: i64, latent: i64) -> Result<Self, Error> {
        let flat = elements(sizes)?;
        elements(&[flat.max(latent), hidden])?;
        elements(&[latent])?;
        let (encoder, decoder) = (path / "encoder", path / "decoder");
        Ok(FlatAutoencoder {
            encoder: [
                Linear::new(&(&encoder / "hidden"), flat, hidden)?,
                Linear::new(&(&encoder / "latent"), hidden, latent)?,
            ],
            decoder: [
                Linear::new(&(&decoder / "hidden"), latent, hidden)?,
                Linear::new(&(&decoder / "array"), hidden, flat)?,
            ],
            sizes: sizes.to_vec(),
        })
    }

    /// `array: [row, sizes..]` to `[row, latent]`.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape.
    pub fn encode(&self, array: &Tensor) -> Result<Tensor, Error> {
        through(&self.encoder, &array.f_flatten(1, -1)?)
    }

    /// `latent: [row, latent]` to `[row, sizes..]`, unbounded.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape.
    pub fn decode(&self, latent: &Tensor) -> Result<Tensor, Error> {
        let flat = through(&self.decoder, latent)?;
        let mut shape = vec![flat.size()[0]];
        shape.extend(&self.sizes);
        Ok(flat.f_reshape(shape)?)
    }
}

/// Array -> `hidden` SiLU -> `hidden` SiLU -> tokens of length 1, with the array seen as flat. Dropout between, while
/// it is trained.
pub struct FlatPrompt {
    layers: [Linear; 3],
    shape: [i64; 2],
    dropout: f64,
}

impl FlatPrompt {
    /// A network for arrays of `sizes`, without the row axis, that makes `tokens` tokens of `features` features.
    ///
    /// # Errors
    /// [`Error::Parameters`] for sizes that are not positive or far too large, or a dropout outside [0, 1).
    pub fn new(
        path: &nn::Path<'_>,
        sizes: &[i64],
        hidden: i64,
        [tokens, features]: [i64; 2],
        dropout: f64,
    ) -> Result<Self, Error> {
        let (flat, out) = (elements(sizes)?, elements(&[tokens, features])?);
        elements(&[flat.max(out).max(hidden), hidden])?;
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::Parameters(format!("dropout is {dropout}; it is at least 0 and less than 1")));
        }
        let layers = [
            Linear::new(&(path / "first"), flat, hidden)?,
            Linear::new(&(path / "second"), hidden, hidden)?,
            Linear::new(&(path / "tokens"), hidden, out)?,
        ];
        Ok(FlatPrompt { layers, shape: [tokens, features], dropout })
    }

    /// `array: [row, sizes..]` to `[row, token, feature]`, each token of Euclidean length 1.
    ///
    /// # Errors
    /// [`Error::Torch`] for another shape.
    pub fn embed(&self, array: &Tensor, train: bool) -> Result<Tensor, Error> {
        let [first, second, last] = &self.layers;
        let x = first.forward(&array.f_flatten(1, -1)?)?.f_silu()?.f_dropout(self.dropout, train)?;
        let x = second.forward(&x)?.f_silu()?.f_dropout(self.dropout, train)?;
        let tokens = last.forward(&x)?.f_view([array.size()[0], self.shape[0], self.shape[1]])?;
        let length = tokens.f_norm_scalaropt_dim(2.0, [-1], true)?.f_clamp_min(SHORTEST)?;
        Ok(tokens.f_div(&length)?)
    }
}

/// Below it a token is not made longer, so that a zero stays finite.
const SHORTEST: f64 = 1e-6;

fn through([hidden, last]: &[Linear; 2], x: &Tensor) -> Result<Tensor, Error> {
    last.forward(&hidden.forward(x)?.f_silu()?)
}
