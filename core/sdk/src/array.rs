//! Modules without libtorch, for inference only: the trait, and its side of `anyflow.array/1`.

use std::ffi::c_void;

use crate::abi::{ArrayView, Report, StrView, dtype, status};
use crate::dense::dense;
use crate::guard::{Poisonable, guarded, report_error};
use crate::{Error, ModuleDescriptor, Parameters, Role};

/// A network, or any other computation, over arrays in host memory. The host cannot train it: no gradients flow
/// through. All calls come from one thread.
pub trait ArrayModule: Send + Sized + 'static {
    /// What the module says of itself.
    const DESCRIPTOR: ModuleDescriptor;

    /// Makes an instance.
    ///
    /// # Errors
    /// [`Error::Parameters`] for a value the module cannot take.
    fn new(parameters: &Parameters) -> Result<Self, Error>;

    /// Runs one of the descriptor's roles. `input`: `[row, axes of the input port]`; fills `output`:
    /// `[row, axes of the output port]`, f32, zeroed before.
    ///
    /// # Errors
    /// Whatever went wrong; the whole batch fails.
    fn forward(&self, role: Role, input: &Array<'_>, output: &mut ArrayMut<'_>) -> Result<(), Error>;
}

/// An array to read, row-major, borrowed from the host for the time of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    /// Sizes of the axes, the row first.
    pub shape: &'a [i64],
    /// The elements.
    pub elements: Elements<'a>,
}

/// Elements of an array, of one of the types that ports have.
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
            _ => Err(Error::Failed("the array is not of 32-bit floats".into())),
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

/// An array to write, row-major, borrowed from the host for the time of a call.
#[derive(Debug)]
pub struct ArrayMut<'a> {
    /// Sizes of the axes, the row first.
    pub shape: &'a [i64],
    /// The elements.
    pub elements: &'a mut [f32],
}

impl ArrayMut<'_> {
    /// # Safety
    /// As [`dense`], and nobody else uses the array's memory meanwhile.
    unsafe fn from_view(view: &ArrayView, axes: usize) -> Result<Self, Error> {
        // SAFETY: the caller promises memory of this size that is ours for the call.
        unsafe {
            let (shape, first, len) = dense::<f32>(view, axes)?;
            Ok(ArrayMut { shape, elements: std::slice::from_raw_parts_mut(first, len) })
        }
    }
}

/// A module whose type is hidden.
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
        let (rows, wanted) = (output.shape[0], input.shape[0]);
        if rows != wanted {
            return Err(Error::Failed(format!("the output has {rows} rows, the input {wanted}")));
        }
        ArrayModule::forward(self, role.role, &input, &mut output)
    }
}

/// One module of a plugin, for the export macro.
#[doc(hidden)]
pub struct ArrayEntry {
    /// Name inside the plugin.
    pub id: &'static str,
    /// Makes an instance.
    pub make: fn(&Parameters) -> Result<Box<dyn DynArrayModule>, Error>,
}

impl ArrayEntry {
    /// The entry of a module type.
    pub const fn of<M: ArrayModule>() -> Self {
        ArrayEntry { id: M::DESCRIPTOR.id, make: |parameters| Ok(Box::new(M::new(parameters)?)) }
    }
}

type Instance = Poisonable<Box<dyn DynArrayModule>>;

/// # Safety
/// As `ArrayInterface::create`.
#[doc(hidden)]
pub unsafe fn create(
    modules: &[ArrayEntry],
    id: StrView,
    parameters: StrView,
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
            let module = (entry.make)(&Parameters::parse(parameters.bytes()?)?)?;
            *instance = Box::into_raw(Box::new(Instance::new(module))).cast();
            Ok(())
        })
    }
}

/// # Safety
/// As `ArrayInterface::destroy`.
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
/// As `ArrayInterface::forward`.
#[doc(hidden)]
pub unsafe fn forward(
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
        unsafe { report_error(report, -1, "a role takes one input and gives one output") };
        return status::UNSUPPORTED;
    }
    // SAFETY: the arguments are as the ABI says.
    unsafe { (*instance.cast::<Instance>()).call(report, |module| module.forward(role, &*inputs, &*outputs)) }
}
