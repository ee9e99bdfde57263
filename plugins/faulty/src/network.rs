//! The module `network`.

use std::cell::Cell;
use std::time::Duration;

use anyflow_sdk::layers::Linear;
use anyflow_sdk::tch::{self, Kind, Tensor, nn};
use anyflow_sdk::{Decoder, Encoder, Error, Module, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*};

/// A linear autoencoder that works for `after` calls of either role, and has its fault in every later call.
pub struct Network {
    encoder: Linear,
    decoder: Linear,
    fault: Fault,
    seconds: f64,
    good_calls_left: Cell<u64>,
}

/// The fault.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// Nothing.
    None,
    /// The call panics.
    Panic,
    /// All outputs are NaN.
    Nan,
    /// The last row of the output is NaN.
    NanRow,
    /// A libtorch operation throws through a call that cannot return errors.
    Throw,
    /// The output claims more elements than fit in memory.
    Huge,
    /// The output has one element too many in its last axis.
    WrongShape,
    /// The output has the dtype f64.
    WrongType,
    /// The call returns an error.
    Error,
    /// The call asks for more memory than there is.
    Memory,
    /// The call takes `seconds`.
    Sleep,
    /// The thread stops recording gradients.
    NoGrad,
    /// libtorch gets another number of threads.
    Threads,
    /// The process aborts.
    Abort,
}

#[derive(serde::Deserialize)]
struct Config {
    n: i64,
    latent: i64,
    fault: Fault,
    seconds: f64,
    after: u64,
}

/// `[value]`.
const VALUE: Port = f32_port(&[axis_of("value", "n")]);
/// `[latent]`.
const LATENT: Port = f32_port(&[axis("latent")]);

impl Module for Network {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "network",
        modality: "text",
        summary: "a linear autoencoder that fails on request",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: VALUE, output: LATENT },
            RoleDescriptor { role: Role::Decode, input: LATENT, output: VALUE },
        ],
        parameters: r#"{
            "n": {"type": "integer", "minimum": 1, "maximum": 65536},
            "latent": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 4},
            "fault": {
                "enum": [
                    "none", "panic", "throw", "nan", "nan-row", "wrong-shape", "wrong-type", "huge", "error", "memory",
                    "sleep", "no-grad", "threads", "abort"
                ],
                "default": "none"
            },
            "seconds": {"type": "number", "minimum": 0, "maximum": 3600, "default": 0.1},
            "after": {"type": "integer", "minimum": 0, "default": 0}
        }"#,
    };

    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error> {
        let Config { n, latent, fault, seconds, after } = parameters.read()?;
        if n < 1 || latent < 1 || !(0.0..=3600.0).contains(&seconds) {
            return Err(Error::Parameters(format!(
                "n is {n}, latent {latent}, seconds {seconds}; n and latent must be positive, seconds from 0 to 3600"
            )));
        }
        Ok(Network {
            encoder: Linear::new(&(path / "encoder"), n, latent)?,
            decoder: Linear::new(&(path / "decoder"), latent, n)?,
            fault,
            seconds,
            good_calls_left: Cell::new(after),
        })
    }
}

impl Network {
    fn spoil(&self, output: Tensor) -> Result<Tensor, Error> {
        if let Some(left) = self.good_calls_left.get().checked_sub(1) {
            self.good_calls_left.set(left);
            return Ok(output);
        }
        match self.fault {
            Fault::None => Ok(output),
            Fault::Panic => panic!("asked to panic by the parameter fault"),
            Fault::Nan => Ok(output.f_mul_scalar(f64::NAN)?),
            Fault::NanRow => {
                let rows = output.size().first().copied().unwrap_or(0);
                let last = output.f_narrow(0, (rows - 1).max(0), rows.min(1))?;
                let spoilt = last.f_mul_scalar(f64::NAN)?;
                Ok(Tensor::f_cat(&[output.f_narrow(0, 0, (rows - 1).max(0))?, spoilt], 0)?)
            }
            Fault::Throw => Ok(output.view([-7, -7])),
            Fault::Huge => {
                let [rows, ..] = output.size()[..] else { return Ok(output) };
                Ok(output.f_narrow(1, 0, 1)?.f_expand([rows, 1 << 40], false)?)
            }
            Fault::WrongShape => Ok(output.f_constant_pad_nd([0, 1])?),
            Fault::WrongType => Ok(output.f_to_kind(Kind::Double)?),
            Fault::Error => Err(Error::Failed("asked to fail by the parameter fault".into())),
            Fault::Memory => Ok(output.f_new_empty([1 << 50], (Kind::Float, output.device()))?),
            Fault::Sleep => {
                std::thread::sleep(Duration::from_secs_f64(self.seconds));
                Ok(output)
            }
            Fault::NoGrad => {
                std::mem::forget(tch::no_grad_guard());
                Ok(output)
            }
            Fault::Threads => {
                tch::set_num_threads(tch::get_num_threads() + 1);
                Ok(output)
            }
            Fault::Abort => std::process::abort(),
        }
    }
}

impl Encoder for Network {
    fn encode(&self, array: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.spoil(self.encoder.forward(array)?)
    }
}

impl Decoder for Network {
    fn decode(&self, latent: &Tensor, _train: bool) -> Result<Tensor, Error> {
        self.spoil(self.decoder.forward(latent)?)
    }
}

#[cfg(test)]
mod tests {
    use anyflow_sdk::tch::Device;
    use anyflow_sdk::testkit::check_network;
    use serde_json::json;

    use super::*;

    fn network(variables: &nn::VarStore, fault: &str, after: u64) -> Network {
        let parameters = json!({"n": 3, "latent": 2, "fault": fault, "seconds": 0.01, "after": after});
        Network::new(&variables.root(), &Parameters::new(parameters)).unwrap()
    }

    fn encoded(fault: &str) -> Result<Tensor, Error> {
        let variables = nn::VarStore::new(Device::Cpu);
        network(&variables, fault, 0).encode(&Tensor::ones([2, 3], (Kind::Float, Device::Cpu)), false)
    }

    #[test]
    fn without_a_fault_it_is_a_network() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = network(&variables, "none", 0);
        check_network(&variables, &[3], &[3], |x| module.decode(&module.encode(x, true)?, true));
    }

    #[test]
    fn every_fault_happens() {
        assert!(encoded("nan").unwrap().isnan().all().int64_value(&[]) == 1);
        let last = encoded("nan-row").unwrap().isnan();
        assert_eq!(last.sum_dim_intlist(1, false, Kind::Int64), Tensor::from_slice(&[0i64, 2]));
        assert_eq!(encoded("huge").unwrap().size(), [2, 1 << 40]);
        assert!(std::panic::catch_unwind(|| encoded("throw")).is_err());
        assert_eq!(encoded("wrong-shape").unwrap().size(), [2, 3]);
        assert_eq!(encoded("wrong-type").unwrap().kind(), Kind::Double);
        assert!(matches!(encoded("error"), Err(Error::Failed(_))));
        assert!(matches!(encoded("memory"), Err(Error::Torch(_))));
        assert_eq!(encoded("sleep").unwrap().size(), [2, 2]);
        assert!(std::panic::catch_unwind(|| encoded("panic")).is_err());
    }

    #[test]
    fn faults_come_after_the_good_calls() {
        let variables = nn::VarStore::new(Device::Cpu);
        let module = network(&variables, "error", 2);
        let x = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
        let latent = module.encode(&x, false).unwrap();
        assert!(module.decode(&latent, false).is_ok());
        assert!(module.encode(&x, false).is_err());
        assert!(module.decode(&latent, false).is_err());
    }
}
