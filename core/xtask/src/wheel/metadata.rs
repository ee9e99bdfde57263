//! The files that describe a wheel to pip.

use crate::libtorch;

/// The licenses of the package, files of the root.
pub const LICENSES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

/// The command that a virtual environment gets. It starts the program with the libtorch of the installed torch.
const ENTRY_POINTS: &str = "[console_scripts]\nanyflow = anyflow.__main__:main\n";

/// Name, version and tags of a wheel.
pub struct Metadata {
    version: &'static str,
    tag: String,
}

impl Metadata {
    /// The wheel of this version for a platform. It works with every Python, since it has no extension module.
    pub fn new(platform: String) -> Self {
        Metadata { version: env!("CARGO_PKG_VERSION"), tag: format!("py3-none-{platform}") }
    }

    /// Its file name.
    pub fn file_name(&self) -> String {
        format!("anyflow-{}-{}.whl", self.version, self.tag)
    }

    /// The path of a describing file in the wheel.
    pub fn inside(&self, name: &str) -> String {
        format!("anyflow-{}.dist-info/{name}", self.version)
    }

    /// The describing files, without the licenses and the list of files.
    pub fn files(&self, description: &str) -> [(&'static str, String); 3] {
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: xtask {}\nRoot-Is-Purelib: false\nTag: {}\n",
            self.version, self.tag
        );
        [("METADATA", self.metadata(description)), ("WHEEL", wheel), ("entry_points.txt", ENTRY_POINTS.into())]
    }

    /// PEP 566 and PEP 639. Torch is exactly one release, patch included: `doctor` accepts no other, and jobs record it as
    /// the libtorch that computed their rows.
    fn metadata(&self, description: &str) -> String {
        let license_files: String = LICENSES.map(|file| format!("License-File: {file}\n")).concat();
        let version = self.version;
        let torch = libtorch::VERSION;
        format!(
            "Metadata-Version: 2.4\n\
             Name: anyflow\n\
             Version: {version}\n\
             Summary: Turns any set of modalities into any other set: pipelines in YAML, rows in Arrow or Parquet\n\
             License-Expression: MIT OR Apache-2.0\n\
             {license_files}\
             Requires-Python: >=3.10\n\
             Requires-Dist: torch=={torch}\n\
             Requires-Dist: pyarrow>=23\n\
             Provides-Extra: ray\n\
             Requires-Dist: ray[data]>=2.50; extra == 'ray'\n\
             Classifier: Typing :: Typed\n\
             Description-Content-Type: text/markdown\n\
             \n\
             {description}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_names_the_libtorch_of_the_programs() {
        let metadata = Metadata::new("linux_x86_64".into()).metadata("# Anyflow\n");
        let (head, body) = metadata.split_once("\n\n").unwrap();
        assert!(head.lines().any(|line| line == "Requires-Dist: torch==2.11.0"), "{head}");
        assert!(head.lines().all(|line| line.contains(": ")), "{head}");
        assert_eq!(body, "# Anyflow\n");
    }
}
