//! Tokens of a closed set <-> one-hot rows; token 0 is the padding.

use std::collections::HashMap;

use anyflow_sdk::Error;

/// The tokens in order, and their numbers by text.
pub(crate) struct Tokens {
    pub(crate) all: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Tokens {
    /// The tokens of parameter `kind`. The first must be empty: it is the padding.
    pub(crate) fn new(kind: &str, all: Vec<String>) -> Result<Self, Error> {
        if all.len() < 2 || !all[0].is_empty() {
            return Err(Error::Parameters(format!(
                "{kind} must start with an empty entry, the padding, followed by at least one other"
            )));
        }
        let numbers: HashMap<_, _> = all.iter().cloned().zip(0..).collect();
        if let Some((_, twice)) = all.iter().enumerate().find(|(i, token)| numbers[*token] != *i) {
            return Err(Error::Parameters(format!("{kind} holds `{twice}` twice")));
        }
        Ok(Tokens { all, numbers })
    }

    /// The number of a token; `None` for the padding and unknown tokens.
    pub(crate) fn number(&self, token: &str) -> Option<usize> {
        self.numbers.get(token).copied().filter(|number| *number > 0)
    }

    /// Writes one-hot rows into the zeroed `array: [token, all]`, and fills the rest with padding.
    pub(crate) fn write(&self, numbers: &[usize], array: &mut [f32]) {
        let padded = numbers.iter().copied().chain(std::iter::repeat(0));
        for (row, number) in array.chunks_exact_mut(self.all.len()).zip(padded) {
            row[number] = 1.0;
        }
    }

    /// The token with the largest score in each row of `array`, the first one in a tie, without padding.
    pub(crate) fn read(&self, array: &[f32]) -> Result<Vec<&str>, Error> {
        let mut tokens = Vec::new();
        for row in array.chunks_exact(self.all.len()) {
            let mut best = 0;
            for (number, score) in row.iter().enumerate() {
                if score.is_nan() {
                    return Err(Error::data("a score is not a number"));
                }
                if *score > row[best] {
                    best = number;
                }
            }
            if best > 0 {
                tokens.push(self.all[best].as_str());
            }
        }
        Ok(tokens)
    }

    /// At most twenty tokens, for a message.
    pub(crate) fn listed(&self) -> String {
        let shown: Vec<_> = self.all.iter().skip(1).take(20).map(|token| format!("`{token}`")).collect();
        let more = (self.all.len() - 1).saturating_sub(20);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", shown.join(" "))
    }
}

/// The length, if the array has a sensible size.
pub(crate) fn length(length: usize, tokens: &Tokens) -> Result<usize, Error> {
    let elements = length.checked_mul(tokens.all.len()).filter(|n| (1..=1 << 24).contains(n));
    elements.map(|_| length).ok_or_else(|| Error::Parameters(format!("length is {length}; it must be from 1 to 4096")))
}
