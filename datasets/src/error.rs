//! Errors with rows and files, and who must act on them.
//!
//! Errors are values with fields. `Display` makes the text, which ends with what to do.

use std::path::PathBuf;

use crate::difference::Difference;

/// Result of this crate.
pub type Result<T, E = DatasetError> = std::result::Result<T, E>;

/// Who must act on an error; the command line turns it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The user's files or arguments are wrong (exit code 2).
    User,
    /// A plugin returned a wrong value (exit code 3).
    Plugin,
    /// The environment failed: a full disk, a vanished file (exit code 1).
    Run,
    /// A bug of Anyflow (exit code 1, "please report").
    Internal,
}

impl Fault {
    /// Exit code of the command line for this fault: 1 run or bug, 2 user, 3 plugin.
    pub fn exit_code(self) -> i32 {
        match self {
            Fault::Run | Fault::Internal => 1,
            Fault::User => 2,
            Fault::Plugin => 3,
        }
    }
}

/// Any error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The user must correct the path.
    #[error("{}: no such file or folder; check the spelling and the folder you start from", path.display())]
    Missing {
        /// What was asked for.
        path: PathBuf,
    },
    /// The user must name other files.
    #[error("{}: {reason}; give Parquet files or a folder that holds some (`anyflow data import` makes them)", path.display())]
    Empty {
        /// The file or folder without rows to read.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The user must name another file or import this one.
    #[error("{}: not a Parquet file: {found}", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
        /// What the first bytes look like, and what to do.
        found: String,
    },
    /// The user must fetch or write the file again.
    #[error("{}: truncated or unfinished Parquet file of {size_bytes} bytes ({reason}); copy or write it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length now.
        size_bytes: u64,
        /// The evidence.
        reason: String,
    },
    /// The user must fetch or write the file again.
    #[error("{}: damaged at about row {row} of the file ({reason}); copy or write it again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Row within the file from which reading failed.
        row: u64,
        /// The Parquet reader's message.
        reason: String,
    },
    /// The user must give the job more memory, or make the row smaller.
    #[error("{}: row {row} of the file cannot be read: {reason}; give it more with --memory", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Row within the file.
        row: u64,
        /// The memory that it needs, and the limit.
        reason: String,
    },
    /// The user must leave columns out, or give the command more memory.
    #[error(
        "{}: has {columns} columns, those inside of records counted, and at most {most} can be written with this memory; keep \
         fewer columns (of a run with --keep), or put numbers of one kind into one column of lists; a command with --memory \
         can be allowed more",
        path.display()
    )]
    TooWide {
        /// The file that would have them.
        path: PathBuf,
        /// Its columns, with those inside of records and lists.
        columns: u64,
        /// The most of them.
        most: u64,
    },
    /// The user must rewrite the file with another setting.
    #[error("{}: {what} is not supported; write the file again without it (numbers have at most 64 bits; compression is zstd, snappy, gzip or lz4; nothing is encrypted)", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The compression or layout.
        what: String,
    },
    /// The user must not change input files during a run.
    #[error("{}: was changed or replaced after it was opened ({expected_bytes} bytes then, {found_bytes} now); leave input files alone while they are read, then start again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Length when its footer was read.
        expected_bytes: u64,
        /// Length now.
        found_bytes: u64,
    },
    /// The user must not change linked files during a job.
    #[error("{}: files that cells link to were changed or replaced during the job; leave them alone, delete the output, then start again", folder.display())]
    LinkedChanged {
        /// The folder that the links are relative to.
        folder: PathBuf,
    },
    /// The user must name files of one kind.
    #[error("{} and {} have different columns: {difference}; give files of one dataset only", first.display(), path.display())]
    SchemaMismatch {
        /// The file that sets the schema.
        first: PathBuf,
        /// The file that departs from it.
        path: PathBuf,
        /// The first difference.
        difference: String,
    },
    /// The user must give each column a unique name.
    #[error("{}{}: two columns are called `{column}`; give each a unique name", path.display(), at_line(*line))]
    RepeatedColumn {
        /// The file.
        path: PathBuf,
        /// Line from 1, for text files.
        line: Option<u64>,
        /// The repeated name.
        column: String,
    },
    /// The user must name a column whose values are unique.
    #[error(
        "rows {first} and {second} of the first dataset both have `{key}` in column `{column}`; name a column whose values \
         are unique, or pair the rows with `anyflow data pair`"
    )]
    RepeatedKey {
        /// The column.
        column: String,
        /// The value.
        key: String,
        /// Its first row, from 0.
        first: u64,
        /// Its second row.
        second: u64,
    },
    /// The user must correct the condition.
    #[error("--where \"{text}\": {reason}, at character {at}")]
    Filter {
        /// The condition.
        text: String,
        /// The place, in characters from 1.
        at: usize,
        /// What is wrong.
        reason: String,
    },
    /// The user must correct the column's name.
    #[error("{}no column `{column}`; the columns are {}{}", before(dataset), columns.join(", "), did_you_mean(suggestion))]
    UnknownColumn {
        /// The dataset, if known: its file, or the folder of its files.
        dataset: Option<PathBuf>,
        /// The name asked for.
        column: String,
        /// The existing names.
        columns: Vec<String>,
        /// The nearest of them.
        suggestion: Option<String>,
    },
    /// The user must name another column or convert it.
    #[error("column `{column}` is {found}, expected {expected}; name another column or convert this one")]
    ColumnType {
        /// The column (may be empty if only an array was given).
        column: String,
        /// The accepted kinds.
        expected: String,
        /// Its kind.
        found: String,
    },
    /// The user's row is bad. The run records it in `failures.parquet` and continues.
    #[error("column `{column}`, row {row} of the batch: {reason}")]
    Cell {
        /// The column.
        column: String,
        /// Row within the array, from 0.
        row: usize,
        /// What is wrong with the value.
        reason: String,
    },
    /// The user must rewrite the file, or leave the row out.
    #[error("a row cannot be read, and no other can stand for it: {reason}")]
    UnreadableRow {
        /// What is wrong with it.
        reason: String,
    },
    /// The plugin's author must act: a codec returned a value that the column cannot hold.
    #[error(
        "value {row} of the batch is {found}, but the column holds {expected}; the codec that made it must return that kind"
    )]
    WrongCell {
        /// Position in the slice of cells.
        row: usize,
        /// The kind of the column's values.
        expected: String,
        /// The kind of the given value.
        found: String,
    },
    /// The user must choose another output folder, or repeat the original command.
    #[error("{}: holds the output of another job: {}; choose another --output, or use again what the job was begun with", path.display(), listed(differences))]
    OtherJob {
        /// The folder.
        path: PathBuf,
        /// The parts in which that job differs from this one.
        differences: Vec<Difference>,
    },
    /// The user must use the other version, or choose another output folder.
    #[error("{}: has format {found}, this version of Anyflow writes format {known}; finish it with the version that began it, or choose another --output", path.display())]
    OtherFormat {
        /// A job file or manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format of this version.
        known: u32,
    },
    /// The user must choose another output folder.
    #[error("{}: holds {found}, which no job of Anyflow left there; choose another --output or empty the folder", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// The file that does not belong.
        found: String,
    },
    /// The user must wait for the other process, or stop it.
    #[error("{}: {holder} is writing here; wait until it ends, stop it, or choose another --output", path.display())]
    Busy {
        /// The folder or file.
        path: PathBuf,
        /// The holder's process, host and start time, as a phrase.
        holder: String,
    },
    /// The user must not remove or replace a folder while a process writes to it.
    #[error("{}: was removed or replaced while this process wrote to it; what this process did since then is lost; leave an output alone while it is written, then run the same command again", path.display())]
    Lost {
        /// The folder or file.
        path: PathBuf,
    },
    /// The user must choose a file system with locks.
    #[error("{}: this file system has no locks ({source}), so that two processes could write here at once; choose an --output on a local disk", path.display())]
    NoLocks {
        /// The folder or file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The user must correct the address, or name a path of the disk.
    #[error("{}: {reason}; name s3://BUCKET/NAME, gs://BUCKET/NAME, az://CONTAINER/NAME, an https:// address of a file, or a path", path.display())]
    Address {
        /// The address.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The user must check the credentials.
    #[error("{}: the store does not let this process {action} it ({reason}); check the credentials in the environment (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY ...) and what they allow", path.display())]
    Denied {
        /// The address.
        path: PathBuf,
        /// What was tried: "open", "read", "write" ...
        action: &'static str,
        /// The store's answer.
        reason: String,
    },
    /// The run cannot continue: a store that does not answer, or answers with errors. The user must check both ends.
    #[error("{}: cannot {action}: {reason}; check the network and the store, then run the same command again", path.display())]
    Store {
        /// The address.
        path: PathBuf,
        /// What was tried: "open", "read", "write" ...
        action: &'static str,
        /// The store's answer, or what stands for it.
        reason: String,
    },
    /// The user must choose another store: two processes could commit the same rows here.
    #[error("{}: this store cannot put an object on the condition that there is none ({reason}), so that two processes could commit the same rows; choose an --output on S3, Google Cloud Storage, Azure or another store with conditional puts, or on a local disk", path.display())]
    NoConditionalPut {
        /// The address.
        path: PathBuf,
        /// What the store did.
        reason: String,
    },
    /// The user must replace the link by a folder or file.
    #[error("{}: is a link, and Anyflow follows no links inside of a folder that it writes to; put what it points to in its place, or choose another --output (the whole --output may be a link)", path.display())]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// The run ended too early. An earlier error states the cause.
    #[error("{}: the output is not complete: {reason}; run the same command again, and if this stays, delete the folder first", path.display())]
    Incomplete {
        /// The output folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The user must let the job finish.
    #[error("{}: the job that writes here has not finished; run the same command again to complete it", path.display())]
    Unfinished {
        /// The output folder.
        path: PathBuf,
    },
    /// The user must restore the file, or run the job again.
    #[error("{}: {reason}; restore it from a copy, or run the same command again to write it anew (`anyflow data verify` looks at all files)", path.display())]
    NotAsListed {
        /// A shard.
        path: PathBuf,
        /// The difference from the manifest's entry.
        reason: String,
    },
    /// The user must name a whole output, or single files.
    #[error("{}: {reason}; name the whole output folder, or single files to read them as they are", path.display())]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// What the folder holds.
        reason: String,
    },
    /// The user must say which part of a folder or pattern is meant.
    #[error("{}: {reason}; name one of these: {}", path.display(), choices.join(", "))]
    Splits {
        /// The folder or pattern.
        path: PathBuf,
        /// What it holds.
        reason: String,
        /// What can be named.
        choices: Vec<String>,
    },
    /// The user must restore the file, or delete the folder and run again.
    #[error("{}: {reason}; restore it from a copy, or delete the folder and run again", path.display())]
    Record {
        /// A manifest, commit or job file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The user must correct the imported file.
    #[error("{}{}: {reason}", path.display(), at_line(*line))]
    Import {
        /// The file.
        path: PathBuf,
        /// Line from 1, for text files.
        line: Option<u64>,
        /// What is wrong, and what is accepted.
        reason: String,
    },
    /// The user must pair on another column.
    #[error(
        "column `{column}` has no value that both datasets share (first: {first}; second: {second}); pair on another column"
    )]
    NothingToPair {
        /// The join column.
        column: String,
        /// Some values of the first dataset.
        first: String,
        /// Some values of the second.
        second: String,
    },
    /// The user must give other shapes to generate images from.
    #[error("{}: not a dataset of shapes: {wanted}", path.display())]
    Shapes {
        /// The first of the files.
        path: PathBuf,
        /// The requirement that it misses.
        wanted: String,
    },
    /// The run cannot continue: disk full, no permission, device gone. The user must check the machine.
    #[error("{}: cannot {action}: {source}; check permissions and free space, then run the same command again", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "open", "write", "rename" ...
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The developers of Anyflow must act.
    #[error("internal error while {action}: {reason}; please report it")]
    Internal {
        /// The action.
        action: String,
        /// The failure.
        reason: String,
    },
}

impl DatasetError {
    /// The party that must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Io { .. }
            | Self::Store { .. }
            | Self::Changed { .. }
            | Self::LinkedChanged { .. }
            | Self::Busy { .. }
            | Self::Lost { .. }
            | Self::Incomplete { .. } => Fault::Run,
            Self::WrongCell { .. } => Fault::Plugin,
            Self::Internal { .. } => Fault::Internal,
            _ => Fault::User,
        }
    }

    /// Short stable word for the `code` column of `failures.parquet`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "data.missing",
            Self::Empty { .. } => "data.empty",
            Self::NotParquet { .. } => "data.not-parquet",
            Self::Truncated { .. } => "data.truncated",
            Self::Corrupt { .. } => "data.corrupt",
            Self::TooLarge { .. } => "data.too-large",
            Self::TooWide { .. } => "data.too-wide",
            Self::Unsupported { .. } => "data.unsupported",
            Self::Changed { .. } | Self::LinkedChanged { .. } => "data.changed",
            Self::SchemaMismatch { .. } => "data.schema-mismatch",
            Self::RepeatedColumn { .. } => "data.repeated-column",
            Self::RepeatedKey { .. } => "data.repeated-key",
            Self::Filter { .. } => "data.filter",
            Self::UnknownColumn { .. } => "data.unknown-column",
            Self::ColumnType { .. } => "data.column-type",
            Self::Cell { .. } => "data.cell",
            Self::UnreadableRow { .. } => "data.unreadable-row",
            Self::WrongCell { .. } => "data.wrong-cell",
            Self::OtherJob { .. } => "data.other-job",
            Self::NotOurs { .. } => "data.not-ours",
            Self::OtherFormat { .. } => "data.other-format",
            Self::Busy { .. } => "data.busy",
            Self::Lost { .. } => "data.lost",
            Self::NoLocks { .. } => "data.no-locks",
            Self::Address { .. } => "data.address",
            Self::Denied { .. } => "data.denied",
            Self::Store { .. } => "data.store",
            Self::NoConditionalPut { .. } => "data.no-conditional-put",
            Self::Linked { .. } => "data.linked",
            Self::Incomplete { .. } => "data.incomplete",
            Self::Unfinished { .. } => "data.unfinished",
            Self::NotAsListed { .. } => "data.not-as-listed",
            Self::Mixed { .. } => "data.mixed",
            Self::Splits { .. } => "data.splits",
            Self::Record { .. } => "data.record",
            Self::Import { .. } => "data.import",
            Self::NothingToPair { .. } => "data.nothing-to-pair",
            Self::Shapes { .. } => "data.shapes",
            Self::Io { .. } => "data.io",
            Self::Internal { .. } => "data.internal",
        }
    }

    /// The error for an unknown column, with the most similar name.
    pub fn unknown_column(column: &str, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let suggestion = nearest(column, &columns);
        Self::UnknownColumn { dataset: None, column: column.to_string(), columns, suggestion }
    }

    /// The same error with the column's name.
    pub(crate) fn in_column(self, name: &str) -> Self {
        match self {
            Self::ColumnType { expected, found, .. } => Self::ColumnType { column: name.to_string(), expected, found },
            other => other,
        }
    }

    pub(crate) fn internal(action: impl Into<String>, reason: impl ToString) -> Self {
        Self::Internal { action: action.into(), reason: reason.to_string() }
    }
}

/// Converts an [`std::io::Error`], and names the path. A missing file gets its own variant.
pub(crate) fn io_error(path: &std::path::Path, action: &'static str) -> impl FnOnce(std::io::Error) -> DatasetError {
    let path = path.to_path_buf();
    move |source| match source.kind() {
        std::io::ErrorKind::NotFound if action == "open" => DatasetError::Missing { path },
        _ => DatasetError::Io { path, action, source },
    }
}

fn nearest(wanted: &str, names: &[String]) -> Option<String> {
    let folded = wanted.to_lowercase();
    let scored = names.iter().map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.75).then(|| best.1.clone())
}

fn before(dataset: &Option<PathBuf>) -> String {
    dataset.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default()
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Lists the first differences, and counts the others.
fn listed(differences: &[Difference]) -> String {
    const MOST: usize = 8;
    let mut texts: Vec<String> = differences.iter().take(MOST).map(ToString::to_string).collect();
    if differences.len() > MOST {
        texts.push(format!("and {} more", differences.len() - MOST));
    }
    texts.join("; ")
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_suggested_and_a_different_one_is_not() {
        let near = DatasetError::unknown_column("imgae", ["id", "image", "label"]);
        assert_eq!(near.to_string(), "no column `imgae`; the columns are id, image, label; did you mean `image`?");
        let far = DatasetError::unknown_column("zzz", ["id", "image"]);
        assert!(matches!(far, DatasetError::UnknownColumn { suggestion: None, .. }));
        assert_eq!(far.fault().exit_code(), 2);
    }
}
