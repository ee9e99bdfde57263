//! Several files in one cell.

use std::fmt;

use crate::Error;
use crate::abi::StrView;

/// Encoded bytes of files, in order, borrowed from the host for one call or from a list of files.
#[derive(Clone, Copy)]
pub struct Files<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    /// Every view is readable for `'a`.
    Host(&'a [StrView]),
    Own(&'a [Vec<u8>]),
}

impl<'a> Files<'a> {
    /// The number of files.
    pub fn len(self) -> usize {
        match self.0 {
            Source::Host(views) => views.len(),
            Source::Own(files) => files.len(),
        }
    }

    /// True if there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes of file `at`.
    pub fn get(self, at: usize) -> Option<&'a [u8]> {
        match self.0 {
            // SAFETY: the caller of `from_view` promised that every view is readable for 'a.
            Source::Host(views) => views.get(at).and_then(|view| unsafe { view.bytes() }.ok()),
            Source::Own(files) => files.get(at).map(Vec::as_slice),
        }
    }

    /// The bytes of all files, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        (0..self.len()).filter_map(move |at| self.get(at))
    }

    /// # Safety
    /// Every view is as the ABI says: its bytes are readable for `'a`.
    pub(crate) unsafe fn from_view(views: Option<&'a [StrView]>) -> Result<Files<'a>, Error> {
        let files = views.map(|views| Files(Source::Host(views)));
        files.ok_or_else(|| Error::Failed("the host passed an inconsistent list of files".into()))
    }
}

impl<'a> From<&'a [Vec<u8>]> for Files<'a> {
    fn from(files: &'a [Vec<u8>]) -> Self {
        Files(Source::Own(files))
    }
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Files<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cell, OwnedCell};

    #[test]
    fn files_cross_as_a_view() {
        for files in [vec![], vec![vec![]], vec![b"one".to_vec(), vec![], b"three".to_vec()]] {
            let cell = OwnedCell::Files(files.clone());
            let payload = cell.payload();
            // SAFETY: cell and payload outlive the view.
            let back = unsafe { Cell::from_view(&cell.view(&payload)) }.unwrap().files().unwrap();
            assert_eq!((back.len(), back.is_empty()), (files.len(), files.is_empty()));
            assert_eq!(back.iter().collect::<Vec<_>>(), files);
            assert_eq!(back, files.as_slice().into());
        }
    }

    #[test]
    fn an_incomplete_view_is_refused() {
        let cell = OwnedCell::Files(vec![b"one".to_vec()]);
        let payload = cell.payload();
        let mut view = cell.view(&payload);
        view.bytes.len -= 1;
        // SAFETY: as above.
        assert!(unsafe { Cell::from_view(&view) }.is_err());
    }
}
