//! Modules: the traits, and their side of `anyflow.torch/1`.

use std::ffi::c_void;

use tch::{Device, Tensor, nn};

use crate::abi::torch::{TensorHandle, Visit};
use crate::abi::{Report, StrView, status};
use crate::guard::{Poisonable, guarded, report_error};
use crate::{Error, ModuleDescriptor, Parameters};

/// A differentiable network. The host trains it, saves it and loads it, by the names of its variables under `path`.
/// Use `f_*` calls of `tch`, which return errors. All calls come from one thread.
pub trait Module: Send + Sized + 'static {
    /// What the module says of itself.
    const DESCRIPTOR: ModuleDescriptor;

    /// Makes an instance with freshly initialised variables under `path`.
    ///
    /// # Errors
    /// [`Error::Parameters`] for a value the module cannot take.
    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error>;
}

/// Array -> latent.
pub trait Encoder: Module {
    /// `array`: `[row, axes of the input port]`; gives `[row, axes of the output port]`. `train` is on while the
    /// module is being trained (dropout and the like).
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn encode(&self, array: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Latent -> array.
pub trait Decoder: Module {
    /// `latent`: `[row, axes of the input port]`; gives `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn decode(&self, latent: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array -> conditioning tokens.
pub trait PromptEncoder: Module {
    /// `array`: `[row, axes of the input port]`; gives `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn embed(&self, array: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Latent -> shared space.
pub trait Aligner: Module {
    /// `latent`: `[row, axes of the input port]`; gives `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn align(&self, latent: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array or latent -> scores.
pub trait Scorer: Module {
    /// `value`: `[row, axes of the input port]`; gives unnormalised log-probabilities `[row, class]`.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array or latent -> features: what a scorer reads its scores from, by which distributions are compared.
pub trait FeatureExtractor: Module {
    /// `value`: `[row, axes of the input port]`, that of the scorer; gives `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn features(&self, value: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array or latent -> what it looks or sounds like, by which rows are compared with those that they were to be.
pub trait PerceptualEncoder: Module {
    /// `value`: `[row, axes of the input port]`, that of the scorer; gives `[row, axes of the output port]`, numbers whose
    /// squared differences, summed over all axes, are how different two rows appear: as LPIPS (Zhang et al. 2018, "The
    /// Unreasonable Effectiveness of Deep Features as a Perceptual Metric", eq. (1)) without learned weights.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn perceive(&self, value: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// A module whose type is hidden; the export macro implements it from the list of roles.
#[doc(hidden)]
pub trait DynModule: Send {
    /// Runs one role, given as its number at the border.
    fn forward(&self, role: u32, input: &Tensor, train: bool) -> Result<Tensor, Error>;
}

type Make = fn(&nn::Path<'_>, &Parameters) -> Result<Box<dyn DynModule>, Error>;

/// One module of a plugin, for the export macro.
#[doc(hidden)]
pub struct ModuleEntry {
    /// Name inside the plugin.
    pub id: &'static str,
    /// Makes an instance.
    pub make: Make,
}

struct Network {
    variables: nn::VarStore,
    module: Box<dyn DynModule>,
}

type Instance = Poisonable<Network>;

/// # Safety
/// As `TorchInterface::create`.
#[doc(hidden)]
pub unsafe fn create(
    modules: &[ModuleEntry],
    id: StrView,
    parameters: StrView,
    device: i64,
    report: *const Report,
    instance: *mut *mut c_void,
) -> u32 {
    // SAFETY: the arguments are as the ABI says; `instance` is writable.
    unsafe {
        guarded(report, || {
            let id = id.bytes()?;
            let entry = modules
                .iter()
                .find(|e| e.id.as_bytes() == id)
                .ok_or_else(|| Error::Failed(format!("no module `{}`", String::from_utf8_lossy(id))))?;
            let device = usize::try_from(device).map_or(Device::Cpu, Device::Cuda);
            let variables = nn::VarStore::new(device);
            let module = (entry.make)(&variables.root(), &Parameters::parse(parameters.bytes()?)?)?;
            *instance = Box::into_raw(Box::new(Instance::new(Network { variables, module }))).cast();
            Ok(())
        })
    }
}

/// # Safety
/// As `TorchInterface::destroy`.
#[doc(hidden)]
pub unsafe fn destroy(instance: *mut c_void) {
    if !instance.is_null() {
        // SAFETY: `instance` came from `create` and is given up now.
        let instance = unsafe { Box::from_raw(instance.cast::<Instance>()) };
        // SAFETY: there is nobody to report to; a panic in a drop ends here.
        unsafe {
            guarded(std::ptr::null(), move || {
                drop(instance);
                Ok(())
            })
        };
    }
}

/// # Safety
/// As `TorchInterface::parameters`.
#[doc(hidden)]
pub unsafe fn parameters(instance: *const c_void, visit: Visit, context: *mut c_void, report: *const Report) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        (*instance.cast::<Instance>()).call(report, |network| {
            let mut named: Vec<_> = network.variables.variables().into_iter().collect();
            named.sort_by(|a, b| a.0.cmp(&b.0));
            for (name, mut tensor) in named {
                let trainable = u32::from(tensor.requires_grad());
                visit(context, StrView::new(name.as_bytes()), tensor.as_mut_ptr().cast(), trainable);
            }
            Ok(())
        })
    }
}

/// # Safety
/// As `TorchInterface::forward`.
#[doc(hidden)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn forward(
    instance: *const c_void,
    role: u32,
    train: u32,
    inputs: *const TensorHandle,
    n_inputs: usize,
    outputs: *mut TensorHandle,
    n_outputs: usize,
    report: *const Report,
) -> u32 {
    if n_inputs != 1 || n_outputs != 1 {
        // SAFETY: the report is as the ABI says.
        unsafe { report_error(report, -1, "a role takes one input and gives one output") };
        return status::UNSUPPORTED;
    }
    // SAFETY: the arguments are as the ABI says; the input handle is borrowed, so it must not be dropped here; the
    // output handle goes to the host.
    unsafe {
        (*instance.cast::<Instance>()).call(report, |network| {
            let input = std::mem::ManuallyDrop::new(Tensor::from_ptr((*inputs).cast()));
            let output = network.module.forward(role, &input, train != 0)?;
            let mut output = std::mem::ManuallyDrop::new(output);
            *outputs = output.as_mut_ptr().cast();
            Ok(())
        })
    }
}
