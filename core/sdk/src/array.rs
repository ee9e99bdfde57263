//! Array modules: inference without libtorch. The trait and the plugin's side of `anyflow.array/1`.

use std::ffi::c_void;

use crate::abi::{ArrayView, Report, StrView, dtype, status};
use crate::dense::dense;
use crate::guard::{ONE_EACH, Poisonable, report_error};
use crate::instance::{self, ComponentEntry, Components};
use crate::{Error, ModuleDescriptor, Parameters, Role};

/// A network, or any other computation, over arrays in host memory. It passes no gradients on, so the host cannot train
/// it. All calls come from one thread.
pub trait ArrayModule: Send + Sized + 'static {
    /// The module's descriptor.
    const DESCRIPTOR: ModuleDescriptor;

    /// Makes an instance.
    ///
    /// # Errors
    /// [`Error::Parameters`] for a value that the module does not accept.
    fn new(parameters: &Parameters) -> Result<Self, Error>;

    /// Runs one of the descriptor's roles. Takes `input` `[row, axes of the input port]` and fills `output`
    /// `[row, axes of the output port]`, f32, zeroed by the host.
    ///
    /// # Errors
    /// Any error fails the whole batch.
    fn forward(&self, role: Role, input: &Array<'_>, output: &mut ArrayMut<'_>) -> Result<(), Error>;
}

/// A read-only array, row-major, borrowed from the host for one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    /// Sizes of the axes, starting with the rows.
    pub shape: &'a [i64],
    /// The elements.
    pub elements: Elements<'a>,
}

/// Elements of an array, in one of the port dtypes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elements<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
    /// Bytes.
    U8(&'a [u8]),
}

impl<'a> Array<'a> {
    /// The elements, if they are floats.
    ///
    /// # Errors
    /// [`Error::Failed`] for another type.
    pub fn floats(&self) -> Result<&'a [f32], Error> {
        match self.elements {
            Elements::F32(elements) => Ok(elements),
            _ => Err(Error::Failed("expected an array of 32-bit floats".into())),
        }
    }

    /// # Safety
    /// As [`dense`].
    unsafe fn from_view(view: &ArrayView, axes: usize) -> Result<Self, Error> {
        // SAFETY: the caller promises a readable array of this type and size.
        unsafe {
            let (shape, elements) = if view.dtype == dtype::I64 {
                let (shape, first, len) = dense::<i64>(view, axes)?;
                (shape, Elements::I64(std::slice::from_raw_parts(first, len)))
            } else if view.dtype == dtype::U8 {
                let (shape, first, len) = dense::<u8>(view, axes)?;
                (shape, Elements::U8(std::slice::from_raw_parts(first, len)))
            } else {
                let (shape, first, len) = dense::<f32>(view, axes)?;
                (shape, Elements::F32(std::slice::from_raw_parts(first, len)))
            };
            Ok(Array { shape, elements })
        }
    }
}

/// A writable array, row-major, borrowed from the host for one call.
#[derive(Debug)]
pub struct ArrayMut<'a> {
    /// Sizes of the axes, starting with the rows.
    pub shape: &'a [i64],
    /// The elements.
    pub elements: &'a mut [f32],
}

impl ArrayMut<'_> {
    /// # Safety
    /// As [`dense`], and nothing else uses the array's memory during the call.
    unsafe fn from_view(view: &ArrayView, axes: usize) -> Result<Self, Error> {
        // SAFETY: the caller promises memory of this size that is ours for the call.
        unsafe {
            let (shape, first, len) = dense::<f32>(view, axes)?;
            Ok(ArrayMut { shape, elements: std::slice::from_raw_parts_mut(first, len) })
        }
    }
}

/// An array module behind a trait object.
#[doc(hidden)]
pub trait DynArrayModule: Send {
    /// # Safety
    /// Both views are as the ABI says.
    unsafe fn forward(&self, role: u32, input: &ArrayView, output: &ArrayView) -> Result<(), Error>;
}

impl<M: ArrayModule> DynArrayModule for M {
    unsafe fn forward(&self, role: u32, input: &ArrayView, output: &ArrayView) -> Result<(), Error> {
        let role = M::DESCRIPTOR.roles.iter().find(|own| own.role as u32 == role);
        let role = role.ok_or_else(|| Error::Failed(format!("module `{}` has no such role", M::DESCRIPTOR.id)))?;
        // SAFETY: the host keeps both arrays until the call returns, and uses the output only afterwards.
        let (input, mut output) = unsafe {
            let input = Array::from_view(input, role.input.axes.len())?;
            (input, ArrayMut::from_view(output, role.output.axes.len())?)
        };
        let rows = input.shape[0];
        if output.shape[0] != rows {
            return Err(Error::Failed(format!("the input has {rows} rows, but the output has {}", output.shape[0])));
        }
        ArrayModule::forward(self, role.role, &input, &mut output)
    }
}

/// One array module of a plugin, for the export macro.
#[doc(hidden)]
pub type ArrayEntry = ComponentEntry<fn(&Parameters) -> Result<Box<dyn DynArrayModule>, Error>>;

impl ArrayEntry {
    /// The entry of a module type.
    pub const fn of<M: ArrayModule>() -> Self {
        ArrayEntry { id: M::DESCRIPTOR.id, make: |parameters| Ok(Box::new(M::new(parameters)?)) }
    }
}

/// What an instance holds.
#[doc(hidden)]
pub type ArrayInstance = Box<dyn DynArrayModule>;

/// # Safety
/// As `ArrayInterface::create`.
#[doc(hidden)]
pub unsafe extern "C" fn create<P: Components<ArrayEntry>>(
    id: StrView,
    parameters: StrView,
    report: *const Report,
    instance: *mut *mut c_void,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe { instance::create(P::ALL, id, parameters, report, instance, |make, parameters| make(parameters)) }
}

/// # Safety
/// As `ArrayInterface::forward`.
#[doc(hidden)]
pub unsafe extern "C" fn forward(
    instance: *const c_void,
    role: u32,
    inputs: *const ArrayView,
    n_inputs: usize,
    outputs: *const ArrayView,
    n_outputs: usize,
    report: *const Report,
) -> u32 {
    if n_inputs != 1 || n_outputs != 1 {
        // SAFETY: the report is as the ABI says.
        unsafe { report_error(report, -1, ONE_EACH) };
        return status::UNSUPPORTED;
    }
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        let instance = &*instance.cast::<Poisonable<ArrayInstance>>();
        instance.call(report, |module| module.forward(role, &*inputs, &*outputs))
    }
}
