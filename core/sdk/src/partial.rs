//! Files that end early.

use crate::Error;

/// What a codec does with a file that ends early, as its parameter `partial` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partial {
    /// The row fails.
    #[default]
    Fail,
    /// The codec takes what is there.
    Accept,
}

impl Partial {
    /// Refuses a file that ends early, unless the codec takes what is there. `there` says how much that is.
    ///
    /// # Errors
    /// [`Error::Data`] with `there` and the way out.
    pub fn check(self, there: impl std::fmt::Display) -> Result<(), Error> {
        match self {
            Partial::Accept => Ok(()),
            Partial::Fail => Err(Error::data(format!("{there}; `partial: accept` in the codec's parameters takes it"))),
        }
    }
}
