//! Display of types in messages and printed plans.

use std::fmt;

use anyflow_config::Dtype;

use crate::descriptor::{CellKind, CodecDescriptor, PortDescriptor};
use crate::plan::{Form, Type};

impl fmt::Display for CellKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CellKind::Bytes => f.write_str("bytes"),
            CellKind::Utf8 => f.write_str("utf8"),
            CellKind::I64 => f.write_str("i64"),
            CellKind::F64 => f.write_str("f64"),
            CellKind::Files => f.write_str("files"),
            CellKind::List(depth) => write!(f, "{}numbers", "lists of ".repeat(*depth as usize)),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Cells { cell, feature } => write!(f, "{} cells ({cell}, {feature})", self.modality),
            Form::Array { dtype, axes, shape, .. } => {
                let axes: Vec<String> = axes.iter().zip(shape).map(|(axis, size)| format!("{axis} {size}")).collect();
                write!(f, "{} array {dtype} [{}]", self.modality, axes.join(", "))
            }
            Form::Latent { stream, shape } => write!(f, "latent of stream `{stream}` {shape:?}"),
            Form::Tokens { prompt, shape } => write!(f, "tokens of prompt `{prompt}` {shape:?}"),
            Form::Vector { prompt, shape } => write!(f, "vector of prompt `{prompt}` {shape:?}"),
        }
    }
}

impl Type {
    /// The cells of a codec.
    pub(crate) fn cells(codec: &CodecDescriptor) -> Type {
        let form = Form::Cells { cell: codec.cell, feature: codec.feature.clone() };
        Type { modality: codec.modality.clone(), form }
    }

    /// The array of a codec, with known sizes.
    pub(crate) fn array(modality: &str, port: &PortDescriptor, shape: Vec<i64>) -> Type {
        let axes = port.axes.iter().map(|axis| axis.name.clone()).collect();
        let form = Form::Array { dtype: port.dtype.clone(), axes, shape, range: port.range };
        Type { modality: modality.to_string(), form }
    }

    /// The latent of a stream.
    pub(crate) fn latent(modality: &str, stream: &str, shape: Vec<i64>) -> Type {
        Type { modality: modality.to_string(), form: Form::Latent { stream: stream.to_string(), shape } }
    }

    /// The tokens of a prompt.
    pub(crate) fn tokens(modality: &str, prompt: &str, shape: Vec<i64>) -> Type {
        Type { modality: modality.to_string(), form: Form::Tokens { prompt: prompt.to_string(), shape } }
    }

    /// The vector of a prompt.
    pub(crate) fn vector(modality: &str, prompt: &str, size: i64) -> Type {
        Type { modality: modality.to_string(), form: Form::Vector { prompt: prompt.to_string(), shape: vec![size] } }
    }

    /// The cells that hold the numbers of a latent, of tokens or of a vector: a list per row, nested by axis; `None` for
    /// other forms.
    pub(crate) fn as_numbers(&self) -> Option<Type> {
        let (Form::Latent { shape, .. } | Form::Tokens { shape, .. } | Form::Vector { shape, .. }) = &self.form else {
            return None;
        };
        let feature = match &self.form {
            // A column of vectors is what others search by.
            Form::Vector { shape, .. } => fixed_list(shape.iter().product()),
            _ => shape.iter().fold("Value(float32)".to_string(), |item, _| format!("List({item})")),
        };
        let cell = match shape.len() {
            0 => CellKind::F64,
            depth => CellKind::List(u32::try_from(depth).ok()?),
        };
        Some(Type { modality: self.modality.clone(), form: Form::Cells { cell, feature } })
    }

    /// Cells of lists, with numbers of another type. The feature of bfloat16 is that of f32.
    pub(crate) fn of_dtype(mut self, dtype: Dtype) -> Type {
        if let (Form::Cells { feature, .. }, Dtype::F16) = (&mut self.form, dtype) {
            *feature = feature.replace("float32", "float16");
        }
        self
    }

    /// Shape, and bytes per element; `None` for cells, whose size depends on the data.
    pub(crate) fn elements(&self) -> Option<(&[i64], u64)> {
        match &self.form {
            Form::Cells { .. } => None,
            Form::Array { dtype, shape, .. } => Some((shape, bytes_of(dtype))),
            Form::Latent { shape, .. } | Form::Tokens { shape, .. } | Form::Vector { shape, .. } => Some((shape, 4)),
        }
    }
}

/// The feature of a list of so many numbers in each row.
pub(crate) fn fixed_list(numbers: i64) -> String {
    format!("List(Value(float32), {numbers})")
}

/// Bytes per element of a dtype, by its short name.
fn bytes_of(dtype: &str) -> u64 {
    match dtype {
        "u8" | "i8" | "bool" => 1,
        "i16" | "f16" | "bf16" => 2,
        "i64" | "f64" => 8,
        _ => 4,
    }
}
