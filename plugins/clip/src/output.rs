//! The vector of the whole.

use anyflow_sdk::Error;
use anyflow_sdk::descriptor::*;
use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::transformer::Projection;

/// `[feature]`.
pub(crate) const VECTOR: Port = f32_port(&[axis_of("feature", "vector")]);

/// The parameters of the vector.
#[derive(Clone, Copy, serde::Deserialize)]
pub(crate) struct VectorConfig {
    /// Its size; 0 if the model has no use for it.
    vector: i64,
    /// 0: there is no projection.
    projection_dim: i64,
}

impl VectorConfig {
    /// Refuses another size than that of an encoder of `width` features.
    pub fn check(&self, width: i64) -> Result<(), Error> {
        let VectorConfig { vector, projection_dim } = *self;
        if projection_dim != 0 {
            elements(&[projection_dim, width])?;
        }
        let made = if projection_dim == 0 { width } else { projection_dim };
        if ![0, made].contains(&vector) {
            return Err(Error::Parameters(format!("the vector has {vector} features, but this encoder makes {made}")));
        }
        Ok(())
    }

    /// The projection at `path`.
    pub fn projection(&self, path: &nn::Path<'_>, width: i64) -> Result<Option<Projection>, Error> {
        let made = || Projection::without_bias(path, width, self.projection_dim);
        (self.projection_dim != 0).then(made).transpose()
    }
}

/// The vector of a state `[row, 1, feature]`, projected if there is a projection: `[row, feature]`.
pub(crate) fn projected(projection: Option<&Projection>, state: &Tensor) -> Result<Tensor, Error> {
    let vector = state.f_squeeze_dim(1)?;
    match projection {
        Some(projection) => projection.forward(&vector),
        None => Ok(vector),
    }
}
