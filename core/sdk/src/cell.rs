//! Raw values of a column.

use crate::abi::{CellView, ListView, StrView, cell_kind};
use crate::{Error, Files, List, OwnedList};

/// One raw value, borrowed from the host for one call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Encoded bytes of a file.
    Bytes(&'a [u8]),
    /// A string.
    Utf8(&'a str),
    /// An integer.
    I64(i64),
    /// A real number.
    F64(f64),
    /// Numbers in nested lists.
    List(List<'a>),
    /// Encoded bytes of files, in order.
    Files(Files<'a>),
}

impl<'a> Cell<'a> {
    /// The bytes.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell of another kind.
    pub fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Cell::Bytes(bytes) => Ok(bytes),
            other => Err(other.unexpected("bytes")),
        }
    }

    /// The string.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell of another kind.
    pub fn text(self) -> Result<&'a str, Error> {
        match self {
            Cell::Utf8(text) => Ok(text),
            other => Err(other.unexpected("text")),
        }
    }

    /// The integer.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell of another kind.
    pub fn integer(self) -> Result<i64, Error> {
        match self {
            Cell::I64(value) => Ok(value),
            other => Err(other.unexpected("an integer")),
        }
    }

    /// The real number.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell of another kind.
    pub fn real(self) -> Result<f64, Error> {
        match self {
            Cell::F64(value) => Ok(value),
            other => Err(other.unexpected("a real number")),
        }
    }

    /// The list.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell of another kind.
    pub fn list(self) -> Result<List<'a>, Error> {
        match self {
            Cell::List(list) => Ok(list),
            other => Err(other.unexpected("a list")),
        }
    }

    /// The files.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell of another kind.
    pub fn files(self) -> Result<Files<'a>, Error> {
        match self {
            Cell::Files(files) => Ok(files),
            other => Err(other.unexpected("files")),
        }
    }

    /// A copy that outlives the call.
    #[cfg(feature = "testkit")]
    pub(crate) fn to_owned(self) -> OwnedCell {
        match self {
            Cell::Bytes(bytes) => OwnedCell::Bytes(bytes.to_vec()),
            Cell::Utf8(text) => OwnedCell::Utf8(text.into()),
            Cell::I64(value) => OwnedCell::I64(value),
            Cell::F64(value) => OwnedCell::F64(value),
            Cell::List(list) => OwnedCell::List(list.into_owned()),
            Cell::Files(files) => OwnedCell::Files(files.iter().map(<[u8]>::to_vec).collect()),
        }
    }

    fn unexpected(self, wanted: &str) -> Error {
        let got = match self {
            Cell::Bytes(_) => "bytes",
            Cell::Utf8(_) => "text",
            Cell::I64(_) => "an integer",
            Cell::F64(_) => "a real number",
            Cell::List(_) => "a list",
            Cell::Files(_) => "files",
        };
        Error::Data(format!("the cell holds {got}, not {wanted}"))
    }

    /// # Safety
    /// `view` is as the ABI says: its payload is readable for `'a`.
    pub(crate) unsafe fn from_view(view: &CellView) -> Result<Cell<'a>, Error> {
        // SAFETY: the host keeps cells readable until the call returns.
        let bytes = || unsafe { view.bytes.bytes() };
        match view.kind {
            cell_kind::BYTES => Ok(Cell::Bytes(bytes()?)),
            cell_kind::UTF8 => {
                std::str::from_utf8(bytes()?).map(Cell::Utf8).map_err(|_| Error::data("the text is not UTF-8"))
            }
            cell_kind::I64 => Ok(Cell::I64(view.integer)),
            cell_kind::F64 => Ok(Cell::F64(view.real)),
            // SAFETY: the host keeps cells readable until the call returns.
            cell_kind::LIST => unsafe { List::from_view(view.list()) }.map(Cell::List),
            // SAFETY: likewise.
            cell_kind::FILES => unsafe { Files::from_view(view.files()) }.map(Cell::Files),
            cell_kind::NULL => Err(Error::data("the cell is null")),
            other => Err(Error::Failed(format!("cell kind {other} is newer than this plugin"))),
        }
    }
}

/// One raw value, made by a codec.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedCell {
    /// Encoded bytes of a file.
    Bytes(Vec<u8>),
    /// A string.
    Utf8(String),
    /// An integer.
    I64(i64),
    /// A real number.
    F64(f64),
    /// Numbers in nested lists.
    List(OwnedList),
    /// Encoded bytes of files, in order.
    Files(Vec<Vec<u8>>),
}

impl OwnedCell {
    /// Its kind, as messages name it.
    #[cfg(feature = "testkit")]
    pub(crate) fn kind(&self) -> String {
        match self {
            OwnedCell::Bytes(_) => "bytes".into(),
            OwnedCell::Utf8(_) => "utf8".into(),
            OwnedCell::I64(_) => "i64".into(),
            OwnedCell::F64(_) => "f64".into(),
            OwnedCell::List(list) => format!("list {}", list.as_list().depth()),
            OwnedCell::Files(_) => "files".into(),
        }
    }

    /// The data that [`OwnedCell::view`] points at, for cells that are more than bytes.
    pub(crate) fn payload(&self) -> Payload {
        match self {
            OwnedCell::List(list) => Payload::List(list.view()),
            OwnedCell::Files(files) => Payload::Files(files.iter().map(|file| StrView::new(file)).collect()),
            _ => Payload::Inside,
        }
    }

    /// A borrowed view for the ABI. `payload` comes from [`OwnedCell::payload`] and must outlive the view.
    pub(crate) fn view(&self, payload: &Payload) -> CellView {
        let mut view = CellView { kind: 0, bytes: payload.bytes(), integer: 0, real: 0.0 };
        match self {
            OwnedCell::Bytes(bytes) => (view.kind, view.bytes) = (cell_kind::BYTES, StrView::new(bytes)),
            OwnedCell::Utf8(text) => (view.kind, view.bytes) = (cell_kind::UTF8, StrView::new(text.as_bytes())),
            OwnedCell::I64(value) => (view.kind, view.integer) = (cell_kind::I64, *value),
            OwnedCell::F64(value) => (view.kind, view.real) = (cell_kind::F64, *value),
            OwnedCell::List(_) => view.kind = cell_kind::LIST,
            OwnedCell::Files(_) => view.kind = cell_kind::FILES,
        }
        view
    }
}

/// The data outside of a cell that its view points at.
#[derive(Debug)]
pub(crate) enum Payload {
    /// None: the cell holds everything.
    Inside,
    /// The view of its list.
    List(ListView),
    /// The views of its files.
    Files(Vec<StrView>),
}

impl Payload {
    fn bytes(&self) -> StrView {
        match self {
            Payload::Inside => StrView::new(&[]),
            Payload::List(list) => StrView { ptr: std::ptr::from_ref(list).cast(), len: size_of::<ListView>() },
            Payload::Files(files) => StrView { ptr: files.as_ptr().cast(), len: size_of_val(files.as_slice()) },
        }
    }
}
