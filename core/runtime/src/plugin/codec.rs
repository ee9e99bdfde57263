//! A codec instance: the host's side of `anyflow.codec/1`.

use std::ffi::c_void;

use anyflow_abi::codec::CodecInterface;
use anyflow_abi::{ArrayView, CellView, DataType, ListView, Report, StrView, cell_kind};
use anyflow_datasets::{Cell, CellColumn, OwnedCell};
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::plan::{Component, Form, Type};
use tch::{Kind, Tensor};

use super::call::Call;
use super::instance::Instance;
use super::library::LoadedPlugins;
use super::made::Made;
use super::report::{Reported, RowError};
use super::{view, watch};
use crate::{Result, RunError};

/// A codec with its parameters: cells <-> arrays in host memory. Several threads may call it.
pub struct Codec {
    interface: &'static CodecInterface,
    made: Made,
    kind: Kind,
    dtype: DataType,
    shape: Vec<i64>,
    /// Kind of the cells that it reads and writes.
    cell: CellKind,
    /// What it declares of them, such as `Value(string)`.
    feature: String,
    /// Names of classes, of a codec of class numbers that has a parameter `names`.
    classes: Vec<String>,
}

// SAFETY: the ABI allows `encode` and `decode` from several threads at a time, and `destroy` from any one thread.
unsafe impl Send for Codec {}
// SAFETY: as above.
unsafe impl Sync for Codec {}

impl Codec {
    /// Makes an instance; `array` is its type in the plan.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(plugins: &mut LoadedPlugins, component: &Component, array: &Type) -> Result<Self> {
        let of = Instance::of(plugins.load(&component.library)?, component);
        let Form::Array { dtype, shape, .. } = &array.form else {
            return Err(RunError::Internal(format!("the type of codec {} is not an array", of.component)));
        };
        let kind = view::kind_of(dtype).and_then(|kind| Some((kind, view::data_type(kind)?)));
        let (kind, dtype) = kind.ok_or_else(|| RunError::Internal(format!("{}: dtype {dtype}", of.component)))?;
        let known = of.plugin.descriptor.codecs.iter().find(|codec| codec.id == component.id);
        let known = known.ok_or_else(|| of.error("create", "its descriptor lacks this codec"))?;
        let (cell, feature) = (known.cell, known.feature.clone());
        let names = component.parameters.get("names").and_then(serde_json::Value::as_array);
        let classes = names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_string)).collect();
        let interface = of.plugin.codecs.ok_or_else(|| of.error("create", "the plugin has no codecs"))?;
        let create = interface.create.ok_or_else(|| of.missing("create"))?;
        // SAFETY: all arguments live until the call returns.
        let create = |id, text, report, instance| unsafe { create(id, text, report, instance) };
        let made = Made::new(of, &plugins.with_files(component)?, &create, interface.destroy)?;
        Ok(Codec { interface, made, kind, dtype, shape: shape.clone(), cell, feature, classes })
    }

    /// Shape of the array, without the row axis.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Type of the array's elements.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it declares of its cells, such as `Value(string)`.
    pub fn feature(&self) -> &str {
        &self.feature
    }

    /// The cells of a column as this codec reads them: a codec of integers takes whole floats, and words that name its
    /// classes.
    ///
    /// # Errors
    /// The column has no such cells.
    pub fn adapted(&self, cells: CellColumn) -> Result<CellColumn> {
        if self.cell == CellKind::I64 { Ok(cells.as_integers(&self.classes)?) } else { Ok(cells) }
    }

    /// Cells -> `[row, axes]`, in host memory. Returns the rows that are null or refused, which stay zero.
    ///
    /// # Errors
    /// The call failed as a whole, for example because the plugin panicked.
    pub fn encode(&self, cells: &[Option<Cell<'_>>], threads: usize) -> Result<(Tensor, Vec<RowError>)> {
        let tensor = Tensor::f_zeros(self.batch_shape(cells.len()), (self.kind, tch::Device::Cpu))?;
        let encode = self.interface.encode.ok_or_else(|| self.made.of.missing("encode"))?;
        let rows = self.in_parallel("encode", &tensor, threads, |start, array, report| {
            let cells = &cells[start..start + array.rows];
            let payloads: Vec<Payload> = cells.iter().map(Payload::of).collect();
            let views = cells.iter().zip(&payloads);
            let chunk: Vec<CellView> = views.map(|(cell, payload)| cell_view(cell, payload)).collect();
            // SAFETY: cells, payloads, array and report live until the call returns; chunks of the array are disjoint.
            unsafe { encode(self.made.pointer, chunk.as_ptr(), chunk.len(), &array.view(), report) }
        })?;
        Ok((tensor, rows.into_iter().flat_map(|part| shifted(part.start, part.reported.rows)).collect()))
    }

    /// `[row, axes]` -> a cell or an error per row.
    ///
    /// # Errors
    /// The call failed as a whole, for example because the plugin panicked.
    pub fn decode(&self, array: &Tensor, threads: usize) -> Result<Vec<Result<OwnedCell, String>>> {
        let array = array.f_to_device(tch::Device::Cpu)?.f_to_kind(self.kind)?.f_contiguous()?;
        let rows = array.size().first().copied().unwrap_or(0) as usize;
        if array.size() != self.batch_shape(rows) {
            let component = &self.made.of.component;
            return Err(RunError::Internal(format!("{component} cannot decode the shape {:?}", array.size())));
        }
        let mut cells: Vec<_> = (0..rows).map(|_| Err("the plugin reported no cell".to_string())).collect();
        let decode = self.interface.decode.ok_or_else(|| self.made.of.missing("decode"))?;
        let reports = self.in_parallel("decode", &array, threads, |_, chunk, report| {
            // SAFETY: array and report live until the call returns.
            unsafe { decode(self.made.pointer, &chunk.view(), report) }
        })?;
        for Part { start, reported } in reports {
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
    fn in_parallel<F>(&self, name: &'static str, tensor: &Tensor, threads: usize, call: F) -> Result<Vec<Part>>
    where
        F: Fn(usize, &Chunk<'_>, *const Report) -> u32 + Sync,
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
            let running = Call::begin_in(&self.made.of, node.as_deref(), name);
            let code = call(start, &chunk, running.report());
            Ok(Part { start, reported: running.end(code)? })
        };
        let run = &run;
        let starts: Vec<usize> = (0..rows).step_by(size).collect();
        match starts.as_slice() {
            [] | [_] => starts.iter().map(|s| run(*s)).collect(),
            _ => std::thread::scope(|scope| {
                let handles: Vec<_> = starts.iter().map(|s| scope.spawn(move || run(*s))).collect();
                let panicked = |_| Err(RunError::Internal("a thread of a codec panicked".into()));
                handles.into_iter().map(|handle| handle.join().unwrap_or_else(panicked)).collect()
            }),
        }
    }

    fn batch_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().copied()).collect()
    }
}

/// The reports of a chunk of rows.
struct Part {
    /// Index of the first row.
    start: usize,
    reported: Reported,
}

/// Some rows of a dense host array. The address is a number, so that a chunk can be sent to another thread.
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

/// The memory of a cell's view that is not in the column.
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

/// The view of a cell; `payload` belongs to the cell and must outlive the view.
fn cell_view(cell: &Option<Cell<'_>>, payload: &Payload) -> CellView {
    let mut view = CellView { kind: cell_kind::NULL, bytes: payload.bytes(), integer: 0, real: 0.0 };
    match cell {
        None => {}
        Some(Cell::Bytes(bytes)) => {
            view.kind = cell_kind::BYTES;
            view.bytes = StrView::new(bytes);
        }
        Some(Cell::Utf8(text)) => {
            view.kind = cell_kind::UTF8;
            view.bytes = StrView::new(text.as_bytes());
        }
        Some(Cell::I64(value)) => {
            view.kind = cell_kind::I64;
            view.integer = *value;
        }
        Some(Cell::F64(value)) => {
            view.kind = cell_kind::F64;
            view.real = *value;
        }
        Some(Cell::List(_)) => view.kind = cell_kind::LIST,
        Some(Cell::Files(_)) => view.kind = cell_kind::FILES,
    }
    view
}
