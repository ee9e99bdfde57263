//! A codec instance.

use std::ffi::c_void;
use std::sync::Arc;

use anyflow_abi::codec::CodecInterface;
use anyflow_abi::{ArrayView, CellView, DataType, Device, ListView, StrView, cell_kind, dtype, status};
use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::plan::{Component, Form, Type};
use tch::{Kind, Tensor};

use super::library::{Plugin, Plugins};
use super::report::{Reported, RowError};
use crate::{Result, RunError};

/// A codec with its parameters: cells <-> arrays in host memory. Calls may come from several threads.
pub struct Codec {
    plugin: Arc<Plugin>,
    interface: &'static CodecInterface,
    instance: *mut c_void,
    component: String,
    kind: Kind,
    shape: Vec<i64>,
}

// SAFETY: the ABI allows `encode` and `decode` from several threads at a time, and `destroy` from any single one.
unsafe impl Send for Codec {}
// SAFETY: as above.
unsafe impl Sync for Codec {}

impl Codec {
    /// Makes an instance; `array` is the type that the plan found for it.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(plugins: &mut Plugins, component: &Component, array: &Type) -> Result<Self> {
        let plugin = plugins.load(&component.library)?;
        let name = format!("{}/{}", component.plugin, component.id);
        let Form::Array { dtype, shape, .. } = &array.form else {
            return Err(RunError::Internal(format!("the array of codec {name} is no array")));
        };
        let kind = kind_of(dtype).ok_or_else(|| RunError::Internal(format!("{name}: dtype {dtype}")))?;
        let interface = plugin.codecs.ok_or_else(|| error(&plugin, &name, "create", "the plugin has no codecs"))?;
        let mut instance = std::ptr::null_mut();
        let parameters = component.parameters.to_string();
        let create = interface.create.ok_or_else(|| error(&plugin, &name, "create", "is missing in its table"))?;
        let mut reported = Reported::default();
        let report = reported.table();
        let (id, text) = (StrView::new(component.id.as_bytes()), StrView::new(parameters.as_bytes()));
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, text, &report, &mut instance) };
        if code != status::OK || instance.is_null() {
            return Err(error(&plugin, &name, "create", &reported.sentence(code)));
        }
        Ok(Codec { plugin, interface, instance, component: name, kind, shape: shape.clone() })
    }

    /// Cells -> `[row, axes]`, in host memory. Rows that are null or refused stay zero and are told.
    ///
    /// # Errors
    /// The call as a whole failed, e.g. the plugin panicked.
    pub fn encode(&self, cells: &[Option<Cell<'_>>], threads: usize) -> Result<(Tensor, Vec<RowError>)> {
        let tensor = Tensor::f_zeros(self.batch_shape(cells.len()), (self.kind, tch::Device::Cpu))?;
        let rows = self.in_parallel(&tensor, threads, |start, array, reported| {
            let cells = &cells[start..start + array.rows];
            let lists: Vec<Option<ListView>> = cells.iter().map(list_view).collect();
            let chunk: Vec<CellView> = cells.iter().zip(&lists).map(|(cell, list)| view(cell, list)).collect();
            let encode = self.interface.encode.ok_or("is missing in its table")?;
            let report = reported.table();
            // SAFETY: cells, lists, array and report live until the call returns; the chunks of the array are disjoint.
            Ok(unsafe { encode(self.instance, chunk.as_ptr(), chunk.len(), &array.view(), &report) })
        })?;
        Ok((tensor, rows.into_iter().flat_map(|(start, r)| shifted(start, r.rows)).collect()))
    }

    /// `[row, axes]` -> a cell for each row, or why there is none.
    ///
    /// # Errors
    /// The call as a whole failed, e.g. the plugin panicked.
    pub fn decode(&self, array: &Tensor, threads: usize) -> Result<Vec<Result<OwnedCell, String>>> {
        let array = array.f_to_device(tch::Device::Cpu)?.f_to_kind(self.kind)?.f_contiguous()?;
        let rows = array.size().first().copied().unwrap_or(0) as usize;
        if array.size() != self.batch_shape(rows) {
            return Err(RunError::Internal(format!("{} decodes {:?}", self.component, array.size())));
        }
        let mut cells: Vec<_> = (0..rows).map(|_| Err("the plugin reported no cell".to_string())).collect();
        let reports = self.in_parallel(&array, threads, |_, chunk, reported| {
            let decode = self.interface.decode.ok_or("is missing in its table")?;
            let report = reported.table();
            // SAFETY: array and report live until the call returns.
            Ok(unsafe { decode(self.instance, &chunk.view(), &report) })
        })?;
        for (start, reported) in reports {
            for (row, cell) in reported.cells {
                if let Some(slot) = cells.get_mut(start + row) {
                    *slot = Ok(cell);
                }
            }
            for RowError { row, text } in reported.rows {
                if let Some(slot) = cells.get_mut(start + row) {
                    *slot = Err(text);
                }
            }
        }
        Ok(cells)
    }

    /// Runs `call` on chunks of the rows, one thread each.
    fn in_parallel<F>(&self, tensor: &Tensor, threads: usize, call: F) -> Result<Vec<(usize, Reported)>>
    where
        F: Fn(usize, &Chunk<'_>, &mut Reported) -> Result<u32, &'static str> + Sync,
    {
        let rows = tensor.size()[0] as usize;
        let size = rows.div_ceil(threads.max(1)).max(1);
        let row_bytes = self.shape.iter().product::<i64>() as usize * self.kind.elt_size_in_bytes();
        let base = tensor.data_ptr() as usize;
        let run = |start: usize| {
            let n = size.min(rows - start);
            let shape = self.batch_shape(n);
            let chunk = Chunk { data: base + start * row_bytes, rows: n, shape: &shape, dtype: data_type(self.kind) };
            let mut reported = Reported::default();
            match call(start, &chunk, &mut reported) {
                Ok(status::OK) => Ok((start, reported)),
                Ok(code) => Err(reported.sentence(code)),
                Err(text) => Err(text.to_string()),
            }
        };
        let run = &run;
        let starts: Vec<usize> = (0..rows).step_by(size).collect();
        let results: Vec<_> = match starts.as_slice() {
            [] | [_] => starts.iter().map(|s| run(*s)).collect(),
            _ => std::thread::scope(|scope| {
                let handles: Vec<_> = starts.iter().map(|s| scope.spawn(move || run(*s))).collect();
                handles.into_iter().map(|h| h.join().unwrap_or_else(|_| Err("our thread panicked".into()))).collect()
            }),
        };
        results.into_iter().map(|r| r.map_err(|text| error(&self.plugin, &self.component, "codec", &text))).collect()
    }

    fn batch_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().copied()).collect()
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        if let Some(destroy) = self.interface.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}

/// Some rows of a dense host array. The address is a number so that a chunk can go to another thread.
struct Chunk<'a> {
    data: usize,
    rows: usize,
    shape: &'a [i64],
    dtype: DataType,
}

impl Chunk<'_> {
    fn view(&self) -> ArrayView {
        ArrayView {
            data: self.data as *mut c_void,
            device: Device { kind: 1, id: 0 },
            ndim: self.shape.len() as i32,
            dtype: self.dtype,
            shape: self.shape.as_ptr(),
            strides: std::ptr::null(),
            byte_offset: 0,
        }
    }
}

fn shifted(start: usize, rows: Vec<RowError>) -> impl Iterator<Item = RowError> {
    rows.into_iter().map(move |r| RowError { row: start + r.row, text: r.text })
}

fn list_view(cell: &Option<Cell<'_>>) -> Option<ListView> {
    match cell {
        Some(Cell::List(list)) => Some(ListView::new(list.depth(), list.values(), list.lengths())),
        _ => None,
    }
}

/// The view of a cell; `list` is its [`list_view`] and must outlive it.
fn view(cell: &Option<Cell<'_>>, list: &Option<ListView>) -> CellView {
    let mut view = CellView { kind: cell_kind::NULL, bytes: StrView::new(&[]), integer: 0, real: 0.0 };
    match cell {
        None => {}
        Some(Cell::Bytes(bytes)) => (view.kind, view.bytes) = (cell_kind::BYTES, StrView::new(bytes)),
        Some(Cell::Utf8(text)) => (view.kind, view.bytes) = (cell_kind::UTF8, StrView::new(text.as_bytes())),
        Some(Cell::I64(value)) => (view.kind, view.integer) = (cell_kind::I64, *value),
        Some(Cell::F64(value)) => (view.kind, view.real) = (cell_kind::F64, *value),
        Some(Cell::List(_)) => {
            let list = list.as_ref().map_or(std::ptr::null(), |list| &raw const *list);
            let bytes = StrView { ptr: list.cast(), len: size_of::<ListView>() };
            (view.kind, view.bytes) = (cell_kind::LIST, bytes);
        }
    }
    view
}

/// libtorch's name of a descriptor's dtype.
pub(super) fn kind_of(dtype: &str) -> Option<Kind> {
    match dtype {
        "f32" => Some(Kind::Float),
        "i64" => Some(Kind::Int64),
        "u8" => Some(Kind::Uint8),
        _ => None,
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Int64 => dtype::I64,
        Kind::Uint8 => dtype::U8,
        _ => dtype::F32,
    }
}

/// A plugin error that names everything.
pub(super) fn error(plugin: &Plugin, component: &str, call: &str, text: &str) -> RunError {
    RunError::Plugin {
        component: component.into(),
        version: plugin.descriptor.version.clone(),
        call: call.into(),
        text: text.into(),
    }
}
