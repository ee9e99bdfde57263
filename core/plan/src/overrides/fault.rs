//! Reasons why an override cannot be applied.

/// A reason why an override cannot be applied.
#[derive(Debug, thiserror::Error, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OverrideFault {
    #[error("write it as `path=value`")]
    NoValue,
    #[error("write it as `path=value,value`")]
    NoValues,
    #[error("its path contains an empty name")]
    EmptyName,
    #[error("its values are not a list; quote values that contain brackets")]
    NotAList,
    #[error("it has no values; write `path=value,value`")]
    EmptyList,
    #[error("the {file} has no `{name}`")]
    NotThere { file: &'static str, name: String },
    #[error("`{name}` is {found}, not a mapping")]
    NotAMapping { name: String, found: String },
}
