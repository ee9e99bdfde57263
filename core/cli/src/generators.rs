//! The generators of the datasets, as the planner takes them.

use anyflow_datasets::Generator;
use anyflow_plan::descriptor::{GeneratorDescriptor, Generators};

/// The descriptors of all generators.
pub fn descriptors() -> Generators {
    let described = |generator: Generator| {
        let descriptor =
            GeneratorDescriptor { summary: generator.summary().into(), parameters: generator.parameters() };
        (generator.name().to_string(), descriptor)
    };
    Generator::ALL.into_iter().map(described).collect()
}
