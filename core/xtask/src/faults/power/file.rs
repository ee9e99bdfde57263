//! A file on a disk that forgets.

/// Its bytes, as far as they are safe, and what happened since.
#[derive(Debug, Default)]
pub struct File {
    safe: Vec<u8>,
    loose: Vec<Change>,
}

/// A change of bytes.
#[derive(Clone, Debug)]
pub enum Change {
    /// The length was set.
    Cut(usize),
    /// Bytes were written.
    Write { offset: usize, data: Vec<u8> },
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Cut(length) => bytes.resize(*length, 0),
            Change::Write { offset, data } => {
                bytes.resize(bytes.len().max(offset + data.len()), 0);
                bytes[*offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }

    /// The same with half of its bytes.
    fn torn(&self) -> Change {
        match self {
            Change::Write { offset, data } => Change::Write { offset: *offset, data: data[..data.len() / 2].to_vec() },
            Change::Cut(length) => Change::Cut(*length),
        }
    }
}

impl File {
    /// Notes a change that nothing made safe.
    pub fn change(&mut self, change: Change) {
        self.loose.push(change);
    }

    /// Makes all changes safe.
    pub fn sync(&mut self) {
        self.loose.drain(..).for_each(|change| change.apply(&mut self.safe));
    }

    /// What is there while the power is on.
    pub fn live(&self) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        self.loose.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }

    /// What is left if all changes since the last sync are lost.
    pub fn safe(&self) -> Vec<u8> {
        self.safe.clone()
    }

    /// What is left if of the changes since the last sync every second one is there, by half.
    pub fn torn(&self) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        self.loose.iter().skip(1).step_by(2).for_each(|change| change.torn().apply(&mut bytes));
        bytes
    }
}
