//! The part of a film that a codec reads.

use std::ops::Range;

use anyflow_sdk::{Error, Parameters, Partial};

/// The most seconds of a film: a day.
const DAY: f64 = 86_400.0;

/// Seconds of a film, and what becomes of a file that ends early.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(crate) struct Excerpt {
    /// Seconds that are skipped at the beginning.
    #[serde(default)]
    from: f64,
    /// The most seconds that are read.
    #[serde(default = "day")]
    seconds: f64,
    #[serde(default)]
    pub(crate) partial: Partial,
}

fn day() -> f64 {
    DAY
}

/// When the frames of a film are shown, in seconds.
pub(crate) struct FrameTimes {
    /// The beginning of each frame; at least one, in order.
    pub(crate) begin: Vec<f64>,
    /// The end of the last one.
    pub(crate) end: f64,
}

impl Excerpt {
    pub(crate) fn new(parameters: &Parameters) -> Result<Self, Error> {
        let excerpt: Excerpt = parameters.read()?;
        let Excerpt { from, seconds, .. } = excerpt;
        if !(0.0..=DAY).contains(&from) || seconds <= 0.0 || seconds > DAY {
            return Err(Error::Parameters(format!(
                "from is {from} s, seconds {seconds} s; from must be from 0 to {DAY}, seconds above 0 and at most {DAY}"
            )));
        }
        Ok(excerpt)
    }

    /// True if no frame from this time on is in the excerpt.
    pub(crate) fn ends_before(&self, begin: f64) -> bool {
        begin > 0.0 && begin >= self.from + self.seconds
    }

    /// True if a frame that is shown until then is before the excerpt.
    pub(crate) fn begins_after(&self, end: f64) -> bool {
        self.from > 0.0 && end <= self.from
    }

    /// The frames that are shown in the excerpt; at least one.
    pub(crate) fn frames(&self, times: &FrameTimes) -> Result<Range<usize>, Error> {
        if self.begins_after(times.end) {
            let Excerpt { from, .. } = self;
            return Err(Error::data(format!("the film lasts {:.2} s; the codec reads from {from} s on", times.end)));
        }
        let first = times.begin.partition_point(|begin| *begin <= self.from).saturating_sub(1);
        let end = times.begin.partition_point(|begin| !self.ends_before(*begin));
        Ok(first..end.max(first + 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn frames_that_are_shown_in_the_excerpt_are_read() {
        let film = FrameTimes { begin: vec![0.0, 0.5, 1.0, 1.5], end: 2.0 };
        let frames = |from: f64, seconds: f64| {
            Excerpt::new(&Parameters::new(json!({"from": from, "seconds": seconds}))).unwrap().frames(&film)
        };
        assert_eq!(frames(0.0, 86_400.0).unwrap(), 0..4);
        assert_eq!(frames(0.5, 1.0).unwrap(), 1..3);
        // A frame that began before is still shown.
        assert_eq!(frames(0.7, 0.1).unwrap(), 1..2);
        assert_eq!(frames(1.9, 5.0).unwrap(), 3..4);
        let text = frames(2.0, 1.0).unwrap_err().to_string();
        assert_eq!(text, "the film lasts 2.00 s; the codec reads from 2 s on");
    }

    #[test]
    fn impossible_excerpts_are_refused() {
        for parameters in [json!({"from": -1}), json!({"from": 1e9}), json!({"seconds": 0}), json!({"seconds": 1e9})] {
            assert!(matches!(Excerpt::new(&Parameters::new(parameters)), Err(Error::Parameters(_))));
        }
    }
}
