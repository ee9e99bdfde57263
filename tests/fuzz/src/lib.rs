//! What every fuzz target does with what libFuzzer makes up.

pub mod files;
pub mod lists;
pub mod texts;

use anyflow_sdk::{Cell, Codec, Error, Parameters};
use serde_json::{Map, Value, json};

/// A codec with its defaults, and a small list where a list has none.
pub struct Case<C> {
    codec: C,
    elements: usize,
}

impl<C: Codec<Element = f32>> Case<C> {
    /// # Panics
    /// The codec refuses its own defaults.
    #[expect(clippy::new_without_default, reason = "it can fail")]
    pub fn new() -> Self {
        let schema: Map<String, Value> = serde_json::from_str(C::DESCRIPTOR.parameters).expect("a JSON object");
        let value = |schema: &Value| schema.get("default").cloned().unwrap_or_else(|| json!(["", "zero", "one"]));
        let parameters: Map<String, Value> = schema.iter().map(|(name, of)| (name.clone(), value(of))).collect();
        let size = |name: &str| match &parameters[name] {
            Value::Array(list) => list.len(),
            number => number.as_u64().expect("a size") as usize,
        };
        let elements = C::DESCRIPTOR.array.axes.iter().map(|axis| match axis.size {
            anyflow_sdk::descriptor::Size::Fixed(size) => size as usize,
            anyflow_sdk::descriptor::Size::Parameter(name) => size(name),
        });
        let elements = elements.product();
        Case { codec: C::new(&Parameters::new(parameters.into())).expect("the defaults"), elements }
    }

    /// The cell is encoded into finite numbers that decode without a panic, or it is refused as bad data.
    ///
    /// # Panics
    /// Neither is the case.
    pub fn survives(&self, cell: Cell<'_>) {
        let mut array = vec![0.0; self.elements];
        match self.codec.encode(cell, &mut array) {
            Ok(()) => {
                assert!(array.iter().all(|element| element.is_finite()), "not finite");
                let _ = self.codec.decode(&array);
            }
            Err(Error::Data(text)) => assert!(!text.is_empty(), "refused without a word"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A fuzz target: a codec, and how bytes become a cell of its kind, or none; what the cell borrows beside them is kept.
#[macro_export]
macro_rules! target {
    ($codec:ty, |$data:ident| $(let $kept:ident = $value:expr;)? $cell:expr) => {
        static CASE: std::sync::LazyLock<$crate::Case<$codec>> = std::sync::LazyLock::new($crate::Case::new);

        libfuzzer_sys::fuzz_target!(|$data: &[u8]| {
            $(let $kept = $value;)?
            let cell: Option<anyflow_sdk::Cell<'_>> = $cell;
            if let Some(cell) = cell {
                CASE.survives(cell);
            }
        });
    };
}
