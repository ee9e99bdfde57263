//! Modules: the traits, and the plugin's side of `anyflow.torch/1`.

use std::ffi::c_void;

use tch::{Device, Tensor, nn};

use crate::abi::torch::{TensorHandle, Visit};
use crate::abi::{Report, StrView, status};
use crate::guard::{ONE_EACH, Poisonable, report_error};
use crate::instance::{self, ComponentEntry, Components};
use crate::variable::without_memory;
use crate::{Error, ModuleDescriptor, Parameters};

/// A differentiable network. The host trains, saves and loads its variables by their names under `path`.
/// Use the `f_*` calls of `tch`: they return errors instead of panicking. All calls come from one thread.
pub trait Module: Send + Sized + 'static {
    /// The module's descriptor.
    const DESCRIPTOR: ModuleDescriptor;

    /// Makes an instance with freshly initialised variables under `path`, by [`variable`](crate::variable()) or layers that
    /// use it.
    ///
    /// # Errors
    /// [`Error::Parameters`] for a value that the module does not accept.
    fn new(path: &nn::Path<'_>, parameters: &Parameters) -> Result<Self, Error>;
}

/// Array -> latent.
pub trait Encoder: Module {
    /// Maps `array` `[row, axes of the input port]` to `[row, axes of the output port]`. `train` is true during
    /// training; it switches on dropout and the like.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn encode(&self, array: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Latent -> array.
pub trait Decoder: Module {
    /// Maps `latent` `[row, axes of the input port]` to `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn decode(&self, latent: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array -> conditioning tokens.
pub trait PromptEncoder: Module {
    /// Maps `array` `[row, axes of the input port]` to `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn embed(&self, array: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array -> vector of the whole, such as the vector of a text: what is compared by its direction, or joins the time of a
/// denoiser.
pub trait PooledEncoder: Module {
    /// Maps `array` `[row, axes of the input port]` to `[row, feature]`.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn pool(&self, array: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Latent -> shared space.
pub trait Aligner: Module {
    /// Maps `latent` `[row, axes of the input port]` to `[row, axes of the output port]`.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn align(&self, latent: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array or latent -> class scores. Evaluations use scorers as judges: independent classifiers of generated rows.
pub trait Scorer: Module {
    /// Maps `value` `[row, axes of the input port]` to logits (unnormalized log-probabilities) `[row, class]`.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn score(&self, value: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array or latent -> features: the activations before a scorer's last layer. Evaluations compare distributions by
/// them (Fréchet distance).
pub trait FeatureExtractor: Module {
    /// Maps `value` `[row, axes of the input port]` to `[row, axes of the output port]`. The input port is the
    /// scorer's.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn features(&self, value: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// Array or latent -> perceptual features. Evaluations compare generated rows with their targets by them.
pub trait PerceptualEncoder: Module {
    /// Maps `value` `[row, axes of the input port]` to `[row, axes of the output port]`. The input port is the
    /// scorer's. The perceptual distance of two rows is the sum of squared differences over all axes, as in LPIPS
    /// (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", eq. (1)) without
    /// learned weights.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn perceive(&self, value: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// A module behind a trait object.
#[doc(hidden)]
pub trait DynModule: Send {
    /// Runs one role, given by its ABI number.
    fn forward(&self, role: u32, input: &Tensor, train: bool) -> Result<Tensor, Error>;
}

/// A module with the function that runs its roles; the export macro writes that function from the list of roles.
#[doc(hidden)]
pub struct WithRoles<M> {
    /// The module.
    pub module: M,
    /// Runs one role, given by its ABI number.
    pub forward: fn(&M, u32, &Tensor, bool) -> Result<Tensor, Error>,
}

impl<M: Module> DynModule for WithRoles<M> {
    fn forward(&self, role: u32, input: &Tensor, train: bool) -> Result<Tensor, Error> {
        (self.forward)(&self.module, role, input, train)
    }
}

/// One module of a plugin, for the export macro.
#[doc(hidden)]
pub type ModuleEntry = ComponentEntry<Make>;

/// Makes a module with its variables.
type Make = fn(&nn::Path<'_>, &Parameters) -> Result<Box<dyn DynModule>, Error>;

/// What an instance holds: the variables and the module that uses them.
#[doc(hidden)]
pub struct ModuleInstance {
    variables: nn::VarStore,
    module: Box<dyn DynModule>,
}

/// # Safety
/// As `TorchInterface::create`.
#[doc(hidden)]
pub unsafe extern "C" fn create<P: Components<ModuleEntry>>(
    id: StrView,
    parameters: StrView,
    device: i64,
    report: *const Report,
    instance: *mut *mut c_void,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        instance::create(P::ALL, id, parameters, report, instance, |make, parameters| made(*make, parameters, device))
    }
}

/// # Safety
/// As `DryInterface::create`.
#[doc(hidden)]
pub unsafe extern "C" fn create_dry<P: Components<ModuleEntry>>(
    id: StrView,
    parameters: StrView,
    device: i64,
    report: *const Report,
    instance: *mut *mut c_void,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        instance::create(P::ALL, id, parameters, report, instance, |make, parameters| {
            without_memory(|| made(*make, parameters, device))
        })
    }
}

fn made(make: Make, parameters: &Parameters, device: i64) -> Result<ModuleInstance, Error> {
    let variables = nn::VarStore::new(usize::try_from(device).map_or(Device::Cpu, Device::Cuda));
    let module = make(&variables.root(), parameters)?;
    Ok(ModuleInstance { variables, module })
}

/// # Safety
/// As `TorchInterface::parameters`.
#[doc(hidden)]
pub unsafe extern "C" fn parameters(
    instance: *const c_void,
    visit: Visit,
    context: *mut c_void,
    report: *const Report,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        (*instance.cast::<Poisonable<ModuleInstance>>()).call(report, |network| {
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
#[allow(clippy::too_many_arguments)] // the ABI fixes them
pub unsafe extern "C" fn forward(
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
        unsafe { report_error(report, -1, ONE_EACH) };
        return status::UNSUPPORTED;
    }
    // SAFETY: the arguments are as the ABI says. The host keeps the input handle, so it must not be dropped here; the
    // host takes the output handle over.
    unsafe {
        (*instance.cast::<Poisonable<ModuleInstance>>()).call(report, |network| {
            let input = std::mem::ManuallyDrop::new(Tensor::from_ptr((*inputs).cast()));
            let output = network.module.forward(role, &input, train != 0)?;
            let mut output = std::mem::ManuallyDrop::new(output);
            *outputs = output.as_mut_ptr().cast();
            Ok(())
        })
    }
}
