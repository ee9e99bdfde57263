//! A file on a simulated disk.

/// Its synced bytes, and the changes since.
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

    /// The change with half of its bytes.
    fn torn(&self) -> Change {
        match self {
            Change::Write { offset, data } => Change::Write { offset: *offset, data: data[..data.len() / 2].to_vec() },
            Change::Cut(length) => Change::Cut(*length),
        }
    }
}

impl File {
    /// Adds an unsynced change.
    pub fn change(&mut self, change: Change) {
        self.loose.push(change);
    }

    /// Syncs all changes.
    pub fn sync(&mut self) {
        self.loose.drain(..).for_each(|change| change.apply(&mut self.safe));
    }

    /// Its bytes while the power is on.
    pub fn live(&self) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        self.loose.iter().for_each(|change| change.apply(&mut bytes));
        bytes
    }

    /// Its bytes if all unsynced changes are lost.
    pub fn safe(&self) -> Vec<u8> {
        self.safe.clone()
    }

    /// Its bytes if every second unsynced change survives, by half.
    pub fn torn(&self) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        self.loose.iter().skip(1).step_by(2).for_each(|change| change.torn().apply(&mut bytes));
        bytes
    }
}
