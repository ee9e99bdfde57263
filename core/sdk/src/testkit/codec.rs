//! A codec instance, behind its C table.

use std::ffi::c_void;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::array::Array;
use super::host::{Heard, Listening, Refusal};
use crate::OwnedCell;
use crate::abi::codec::CodecInterface;
use crate::abi::{CellView, StrView, cell_kind};
use crate::cell::Payload;

/// A codec, called as a host calls it.
pub(super) struct Codec {
    table: &'static CodecInterface,
    instance: *mut c_void,
}

// SAFETY: the ABI allows calls from several threads at a time.
unsafe impl Sync for Codec {}

/// A valid or invalid cell that a host may pass.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Cell(OwnedCell),
    Null,
    /// A kind that no ABI version has.
    Unknown,
    /// Text that is not UTF-8.
    NotUtf8,
}

impl Input {
    /// The data that its view points at.
    fn payload(&self) -> Payload {
        match self {
            Input::Cell(cell) => cell.payload(),
            _ => Payload::Inside,
        }
    }

    /// A hash of the bytes that a codec could wrongly write to.
    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Input::Cell(OwnedCell::Bytes(bytes)) => bytes.hash(&mut hasher),
            Input::Cell(OwnedCell::Utf8(text)) => text.as_bytes().hash(&mut hasher),
            Input::Cell(OwnedCell::Files(files)) => files.hash(&mut hasher),
            Input::Cell(OwnedCell::List(list)) => {
                list.as_list().values().iter().for_each(|value| value.to_bits().hash(&mut hasher));
            }
            _ => {}
        }
        hasher.finish()
    }

    fn view(&self, payload: &Payload) -> CellView {
        let mut view = CellView { kind: cell_kind::NULL, bytes: StrView::new(&[]), integer: 0, real: 0.0 };
        match self {
            Input::Cell(cell) => return cell.view(payload),
            Input::Null => {}
            Input::Unknown => view.kind = 9_999,
            Input::NotUtf8 => (view.kind, view.bytes) = (cell_kind::UTF8, StrView::new(b"\xff\xfe\x80")),
        }
        view
    }
}

impl Codec {
    pub fn create(table: &'static CodecInterface, id: &str, parameters: &str) -> Result<Self, Refusal> {
        let create = table.create.ok_or_else(|| Refusal::absent("create"))?;
        let call = Listening::begin(0);
        let mut instance = std::ptr::null_mut();
        let id = StrView::new(id.as_bytes());
        let parameters = StrView::new(parameters.as_bytes());
        // SAFETY: all arguments live until the call returns.
        let code = unsafe { create(id, parameters, call.report(), &mut instance) };
        call.end(code)?;
        if instance.is_null() {
            return Err(Refusal::broken("`create` succeeded and gave no instance"));
        }
        Ok(Codec { table, instance })
    }

    /// Encodes the cells into `array`, which has one row per cell. Returns the refused rows.
    pub fn encode(&self, cells: &[Input], array: &mut Array) -> Result<Heard, Refusal> {
        let encode = self.table.encode.ok_or_else(|| Refusal::absent("encode"))?;
        let given: Vec<u64> = cells.iter().map(Input::print).collect();
        let payloads: Vec<Payload> = cells.iter().map(Input::payload).collect();
        let views: Vec<CellView> = cells.iter().zip(&payloads).map(|(cell, payload)| cell.view(payload)).collect();
        let call = Listening::begin(cells.len());
        // SAFETY: cells, payloads, array and report live until the call returns.
        let code = unsafe { encode(self.instance, views.as_ptr(), views.len(), &array.view(), call.report()) };
        let heard = call.end(code)?;
        if given != cells.iter().map(Input::print).collect::<Vec<_>>() {
            return Err(Refusal::broken("`encode` changed a cell, which is read-only"));
        }
        if !array.is_guarded() {
            return Err(Refusal::broken("`encode` wrote out of the bounds of the array"));
        }
        if !heard.cells.is_empty() {
            return Err(Refusal::broken("`encode` reported a cell"));
        }
        Ok(heard)
    }

    /// Decodes each row of `array` to a cell, or the reason why the row is refused.
    pub fn decode(&self, array: &mut Array) -> Result<Vec<Result<OwnedCell, String>>, Refusal> {
        let decode = self.table.decode.ok_or_else(|| Refusal::absent("decode"))?;
        let rows = array.rows();
        let before = array.clone();
        let call = Listening::begin(rows);
        // SAFETY: array and report live until the call returns.
        let code = unsafe { decode(self.instance, &array.view(), call.report()) };
        let mut heard = call.end(code)?;
        if !before.same_bits(array) {
            return Err(Refusal::broken("`decode` changed the array, which is read-only"));
        }
        let answer = |row: usize| match (heard.cells.remove(&row), heard.rows.remove(&row)) {
            (Some(cell), None) => Ok(Ok(cell)),
            (None, Some(text)) => Ok(Err(text)),
            (None, None) => {
                Err(Refusal::broken(format!("`decode` reported neither a cell nor an error for row {row}")))
            }
            (Some(_), Some(_)) => Err(Refusal::broken(format!("`decode` reported a cell and an error for row {row}"))),
        };
        (0..rows).map(answer).collect()
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.instance) };
        }
    }
}
