//! A codec instance: the host's side of `anyflow.codec/1`.

use std::ffi::c_void;

use anyflow_abi::codec::CodecInterface;
use anyflow_abi::{ArrayView, CellView, DataType, ListView, StrView, cell_kind, status};
use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::plan::{Component, Form, Type};
use tch::{Kind, Tensor};

use super::library::{Instance, Plugins};
use super::report::{Reported, RowError};
use super::{view, watch};
use crate::{Result, RunError};

/// A codec with its parameters: cells <-> arrays in host memory. Calls may come from several threads.
pub struct Codec {
    of: Instance,
    interface: &'static CodecInterface,
    instance: *mut c_void,
    kind: Kind,
    dtype: DataType,
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
        let of = Instance::of(plugins.load(&component.library)?, component);
        let Form::Array { dtype, shape, .. } = &array.form else {
            return Err(RunError::Internal(format!("the array of codec {} is no array", of.component)));
        };
        let kind = view::kind_of(dtype).and_then(|kind| Some((kind, view::data_type(kind)?)));
        let (kind, dtype) = kind.ok_or_else(|| RunError::Internal(format!("{}: dtype {dtype}", of.component)))?;
        let interface = of.plugin.codecs.ok_or_else(|| of.error("create", "the plugin has no codecs"))?;
        let mut instance = std::ptr::null_mut();
        let parameters = component.parameters.to_string();
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
        let mut reported = Reported::default();
        let report = reported.table();
        let (id, text) = (StrView::new(component.id.as_bytes()), StrView::new(parameters.as_bytes()));
        let watched = of.watched("create");
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, text, &report, &mut instance) };
        drop(watched);
        if code != status::OK || instance.is_null() {
            return Err(of.error("create", &reported.sentence(code)));
        }
        Ok(Codec { of, interface, instance, kind, dtype, shape: shape.clone() })
    }

    /// Cells -> `[row, axes]`, in host memory. Rows that are null or refused stay zero and are told.
    ///
    /// # Errors
    /// The call as a whole failed, e.g. the plugin panicked.
    pub fn encode(&self, cells: &[Option<Cell<'_>>], threads: usize) -> Result<(Tensor, Vec<RowError>)> {
        let tensor = Tensor::f_zeros(self.batch_shape(cells.len()), (self.kind, tch::Device::Cpu))?;
        let rows = self.in_parallel("encode", &tensor, threads, |start, array, reported| {
            let cells = &cells[start..start + array.rows];
            let payloads: Vec<Payload> = cells.iter().map(Payload::of).collect();
            let views = cells.iter().zip(&payloads);
            let chunk: Vec<CellView> = views.map(|(cell, payload)| cell_view(cell, payload)).collect();
            let encode = self.interface.encode.ok_or("is missing in its table")?;
            let report = reported.table();
            // SAFETY: cells, payloads, array and report live until the call returns; the chunks of the array are disjoint.
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
            return Err(RunError::Internal(format!("{} decodes {:?}", self.of.component, array.size())));
        }
        let mut cells: Vec<_> = (0..rows).map(|_| Err("the plugin reported no cell".to_string())).collect();
        let reports = self.in_parallel("decode", &array, threads, |_, chunk, reported| {
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
    fn in_parallel<F>(
        &self,
        name: &'static str,
        tensor: &Tensor,
        threads: usize,
        call: F,
    ) -> Result<Vec<(usize, Reported)>>
    where
        F: Fn(usize, &Chunk<'_>, &mut Reported) -> Result<u32, &'static str> + Sync,
    {
        let node = watch::node();
        let rows = tensor.size()[0] as usize;
        let size = rows.div_ceil(threads.max(1)).max(1);
        let row_bytes = self.shape.iter().product::<i64>() as usize * self.kind.elt_size_in_bytes();
        let base = tensor.data_ptr() as usize;
        let run = |start: usize| {
            let n = size.min(rows - start);
            let shape = self.batch_shape(n);
            let chunk = Chunk { data: base + start * row_bytes, rows: n, shape: &shape, dtype: self.dtype };
            let mut reported = Reported::default();
            let _watched = self.of.watched_in(node.as_deref(), name);
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
        results.into_iter().map(|result| result.map_err(|text| self.of.error(name, &text))).collect()
    }

    fn batch_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().copied()).collect()
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        if let Some(destroy) = self.interface.destroy {
            let _watched = self.of.watched("destroy");
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
        view::dense(self.data as *mut c_void, self.shape, self.dtype)
    }
}

fn shifted(start: usize, rows: Vec<RowError>) -> impl Iterator<Item = RowError> {
    rows.into_iter().map(move |r| RowError { row: start + r.row, text: r.text })
}

/// What the view of a cell points at beside its column.
enum Payload {
    Inside,
    List(ListView),
    Files(Vec<StrView>),
}

impl Payload {
    fn of(cell: &Option<Cell<'_>>) -> Self {
        match cell {
            Some(Cell::List(list)) => Payload::List(ListView::new(list.depth(), list.values(), list.lengths())),
            Some(Cell::Files(files)) => Payload::Files(files.iter().map(|file| StrView::new(file)).collect()),
            _ => Payload::Inside,
        }
    }

    fn bytes(&self) -> StrView {
        match self {
            Payload::Inside => StrView::new(&[]),
            Payload::List(list) => StrView { ptr: (&raw const *list).cast(), len: size_of::<ListView>() },
            Payload::Files(files) => StrView { ptr: files.as_ptr().cast(), len: size_of_val(files.as_slice()) },
        }
    }
}

/// The view of a cell; `payload` is that of the cell and must outlive it.
fn cell_view(cell: &Option<Cell<'_>>, payload: &Payload) -> CellView {
    let mut view = CellView { kind: cell_kind::NULL, bytes: payload.bytes(), integer: 0, real: 0.0 };
    match cell {
        None => {}
        Some(Cell::Bytes(bytes)) => (view.kind, view.bytes) = (cell_kind::BYTES, StrView::new(bytes)),
        Some(Cell::Utf8(text)) => (view.kind, view.bytes) = (cell_kind::UTF8, StrView::new(text.as_bytes())),
        Some(Cell::I64(value)) => (view.kind, view.integer) = (cell_kind::I64, *value),
        Some(Cell::F64(value)) => (view.kind, view.real) = (cell_kind::F64, *value),
        Some(Cell::List(_)) => view.kind = cell_kind::LIST,
        Some(Cell::Files(_)) => view.kind = cell_kind::FILES,
    }
    view
}
