//! The module `plain`.

use std::time::Duration;

use anyflow_sdk::{
    Array, ArrayModule, ArrayMut, Error, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*,
};

/// Halves and doubles numbers without libtorch, with one fault.
pub struct Plain {
    fault: Fault,
    seconds: f64,
}

/// The fault of every call.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// Nothing.
    None,
    /// The call panics.
    Panic,
    /// All outputs are NaN.
    Nan,
    /// The call returns an error.
    Error,
    /// The call takes `seconds`.
    Sleep,
}

#[derive(serde::Deserialize)]
struct Config {
    fault: Fault,
    seconds: f64,
}

/// `[value]`.
const VALUE: Port = f32_port(&[axis_of("value", "n")]);

impl ArrayModule for Plain {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "plain",
        modality: "text",
        summary: "halves and doubles without libtorch, and fails on request",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: VALUE, output: VALUE },
            RoleDescriptor { role: Role::Decode, input: VALUE, output: VALUE },
        ],
        parameters: r#"{
            "n": {"type": "integer", "minimum": 1, "maximum": 65536},
            "fault": {"enum": ["none", "panic", "nan", "error", "sleep"], "default": "none"},
            "seconds": {"type": "number", "minimum": 0, "maximum": 3600, "default": 0.1}
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { fault, seconds } = parameters.read()?;
        if !(0.0..=3600.0).contains(&seconds) {
            return Err(Error::Parameters(format!("seconds is {seconds}; it must be from 0 to 3600")));
        }
        Ok(Plain { fault, seconds })
    }

    fn forward(&self, role: Role, input: &Array<'_>, output: &mut ArrayMut<'_>) -> Result<(), Error> {
        let factor = match self.fault {
            Fault::Panic => panic!("asked to panic by the parameter fault"),
            Fault::Error => return Err(Error::Failed("asked to fail by the parameter fault".into())),
            Fault::Nan => f32::NAN,
            _ if role == Role::Encode => 0.5,
            _ => 2.0,
        };
        if let Fault::Sleep = self.fault {
            std::thread::sleep(Duration::from_secs_f64(self.seconds));
        }
        for (to, from) in output.elements.iter_mut().zip(input.floats()?) {
            *to = from * factor;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::Elements;
    use serde_json::json;

    use super::*;

    fn called(fault: &str, role: Role) -> Result<Vec<f32>, Error> {
        let module = Plain::new(&Parameters::new(json!({"n": 2, "fault": fault, "seconds": 0.01})))?;
        let mut elements = [0.0; 2];
        let shape = [1, 2];
        let input = Array { shape: &shape, elements: Elements::F32(&[3.0, -1.0]) };
        module.forward(role, &input, &mut ArrayMut { shape: &shape, elements: &mut elements })?;
        Ok(elements.to_vec())
    }

    #[test]
    fn it_fails_only_on_request() {
        assert_eq!(called("none", Role::Encode).unwrap(), [1.5, -0.5]);
        assert_eq!(called("sleep", Role::Decode).unwrap(), [6.0, -2.0]);
        assert!(called("nan", Role::Encode).unwrap()[0].is_nan());
        assert!(matches!(called("error", Role::Encode), Err(Error::Failed(_))));
        assert!(std::panic::catch_unwind(|| called("panic", Role::Encode)).is_err());
    }
}
