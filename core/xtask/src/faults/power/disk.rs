//! A simulated disk: what remains of a command's operations after a power cut.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::file::{Change, File};
use super::journal::Step;

/// Paths on the disk: files with their bytes; folders have none.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What happens to unsynced operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// All are lost: bytes since the file's last sync, names since the folder's last sync.
    Lost,
    /// Names survive at once, bytes are lost: the file system writes its journal before its data.
    NamesFirst,
    /// Names survive at once; every second unsynced write survives with the first half of its bytes.
    Torn,
}

impl Model {
    /// All of them.
    pub const ALL: [Model; 3] = [Model::Lost, Model::NamesFirst, Model::Torn];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File(usize),
}

/// The disk while a command works.
#[derive(Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// The current file of each inode.
    inodes: HashMap<u64, usize>,
    names: BTreeMap<PathBuf, Entry>,
    safe_names: BTreeMap<PathBuf, Entry>,
}

impl Disk {
    /// An empty disk, optionally with an empty folder `out`.
    pub fn with(folder: bool) -> Self {
        let mut disk = Disk::default();
        if folder {
            disk.names.insert("out".into(), Entry::Folder);
            disk.safe_names = disk.names.clone();
        }
        disk
    }

    /// Applies an operation.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Create { path, file } => {
                self.inodes.insert(*file, self.files.len());
                self.names.insert(path.clone(), Entry::File(self.files.len()));
                self.files.push(File::default());
            }
            Step::Cut { file, length } => self.change(*file, Change::Cut(*length)),
            Step::Write { file, offset, data } => {
                self.change(*file, Change::Write { offset: *offset, data: data.clone() });
            }
            Step::SyncFile { file, .. } => {
                if let Some(index) = self.inodes.get(file) {
                    self.files[*index].sync();
                }
            }
            Step::SyncFolder { path } => {
                let inside = |name: &Path| name.parent() == Some(path);
                self.safe_names.retain(|name, _| !inside(name));
                let names = self.names.iter().filter(|(name, _)| inside(name));
                self.safe_names.extend(names.map(|(name, entry)| (name.clone(), *entry)));
            }
            Step::Rename { from, to } => {
                let moved: Vec<_> = self.names.keys().filter(|name| name.starts_with(from)).cloned().collect();
                for name in moved {
                    let rest = name.strip_prefix(from).unwrap_or(&name);
                    let new = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    if let Some(entry) = self.names.remove(&name) {
                        self.names.insert(new, entry);
                    }
                }
            }
            Step::Link { from, to } => {
                if let Some(entry) = self.names.get(from).copied() {
                    self.names.insert(to.clone(), entry);
                }
            }
            Step::MakeFolder { path } => drop(self.names.insert(path.clone(), Entry::Folder)),
            Step::Remove { path } => drop(self.names.remove(path)),
            Step::Say(_) => {}
        }
    }

    fn change(&mut self, file: u64, change: Change) {
        if let Some(index) = self.inodes.get(&file) {
            self.files[*index].change(change);
        }
    }

    /// The paths after the power cut.
    pub fn after_cut(&self, model: Model) -> Tree {
        let names = if model == Model::Lost { &self.safe_names } else { &self.names };
        let reachable = |name: &Path| {
            let mut above = name.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
            above.all(|folder| names.get(folder) == Some(&Entry::Folder))
        };
        let there = names.iter().filter(|(name, _)| reachable(name));
        there.map(|(name, entry)| (name.clone(), self.bytes(*entry, model))).collect()
    }

    /// The paths while the power is on.
    pub fn live(&self) -> Tree {
        let whole = |entry: &Entry| {
            let Entry::File(index) = entry else { return None };
            Some(self.files[*index].live())
        };
        self.names.iter().map(|(name, entry)| (name.clone(), whole(entry))).collect()
    }

    fn bytes(&self, entry: Entry, model: Model) -> Option<Vec<u8>> {
        let Entry::File(index) = entry else { return None };
        let file = &self.files[index];
        Some(if model == Model::Torn { file.torn() } else { file.safe() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(steps: &[Step]) -> Disk {
        let mut disk = Disk::with(true);
        steps.iter().for_each(|step| disk.apply(step));
        disk
    }

    fn steps() -> Vec<Step> {
        let path = |name: &str| PathBuf::from(name);
        let write = |offset, data: &[u8]| Step::Write { file: 1, offset, data: data.to_vec() };
        vec![
            Step::Create { path: path("out/.a.tmp"), file: 1 },
            write(0, b"abcd"),
            Step::SyncFile { path: path("out/.a.tmp"), file: 1 },
            Step::Rename { from: path("out/.a.tmp"), to: path("out/a") },
            Step::SyncFolder { path: path("out") },
            write(4, b"ef"),
            write(6, b"ghij"),
        ]
    }

    fn bytes(disk: &Disk, model: Model) -> Option<Vec<u8>> {
        disk.after_cut(model).remove(Path::new("out/a")).flatten()
    }

    #[test]
    fn synced_bytes_survive_a_power_cut_and_others_may_not() {
        let disk = replayed(&steps());
        assert_eq!(bytes(&disk, Model::Lost).unwrap(), b"abcd");
        assert_eq!(bytes(&disk, Model::NamesFirst).unwrap(), b"abcd");
        assert_eq!(bytes(&disk, Model::Torn).unwrap(), b"abcd\0\0gh");
    }

    #[test]
    fn a_name_is_lost_without_a_sync_of_its_folder() {
        let disk = replayed(&steps()[..4]);
        assert_eq!(bytes(&disk, Model::Lost), None);
        assert_eq!(bytes(&disk, Model::NamesFirst).unwrap(), b"abcd");
    }

    #[test]
    fn a_lost_folder_loses_its_files() {
        let path = |name: &str| PathBuf::from(name);
        let mut steps =
            vec![Step::MakeFolder { path: path("out/data") }, Step::Create { path: path("out/data/a"), file: 2 }];
        steps.push(Step::SyncFolder { path: path("out/data") });
        assert_eq!(replayed(&steps).after_cut(Model::Lost).len(), 1);
        steps.push(Step::SyncFolder { path: path("out") });
        assert_eq!(replayed(&steps).after_cut(Model::Lost).len(), 3);
    }

    #[test]
    fn bytes_without_a_sync_are_lost_though_the_name_is_safe() {
        let mut steps = steps();
        steps.remove(2);
        assert_eq!(bytes(&replayed(&steps), Model::Lost).unwrap(), b"");
    }
}
