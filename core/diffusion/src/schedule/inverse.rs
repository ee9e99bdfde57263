//! The time at which a schedule has a given ratio of signal to noise.

use super::Schedule;

/// Newton's steps close in quadratically; halvings, where they would leave the bracket, need one step a bit.
const MOST_STEPS: usize = 64;
/// Relative to the time.
const ENOUGH: f64 = 1e-14;

impl Schedule {
    /// The time in [`Schedule::t_min`] .. [`Schedule::t_max`] whose [`Schedule::log_snr`] is the given one, or the
    /// nearer end: Newton's method in log t, where log snr is nearly straight for small t, within a bracket. Its slope is
    /// known: d log snr / dt = -g^2 / s^2 (Kingma et al. 2021, "Variational diffusion models", eq. (15)).
    pub fn time_from_log_snr(&self, log_snr: f64) -> f64 {
        let (mut low, mut high) = (self.t_min(), self.t_max());
        let (start, end) = (self.log_snr(low), self.log_snr(high));
        if log_snr >= start {
            return low;
        }
        if log_snr <= end {
            return high;
        }
        let mut t = low * (high / low).powf((start - log_snr) / (start - end));
        for _ in 0..MOST_STEPS {
            let above = self.log_snr(t) - log_snr;
            if above > 0.0 {
                low = t
            } else {
                high = t
            }
            let newton = t * (above / (t * self.noise_rate(t))).exp();
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - t).abs() <= ENOUGH * t {
                return next;
            }
            t = next;
        }
        t
    }

    /// g^2 / s^2 at `t` = -d log snr / dt: how fast noise comes in, relative to what is there.
    pub fn noise_rate(&self, t: f64) -> f64 {
        let s = self.noise(t);
        self.diffusion(t) / (s * s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_inverts_the_log_ratio_of_every_schedule() {
        let schedules = [
            Schedule::vp_linear(),
            Schedule::cosine(),
            Schedule::scaled_linear(),
            Schedule::karras(),
            Schedule::flow(),
        ];
        for schedule in schedules {
            let (least, most) = (schedule.t_min(), schedule.t_max());
            for step in 0..=1000 {
                let t = least + (most - least) * f64::from(step) / 1000.0;
                let found = schedule.time_from_log_snr(schedule.log_snr(t));
                // log snr itself is known to about 1e-13 of its size.
                assert!((found - t).abs() < 1e-10, "{schedule:?} at {t}: {found}");
            }
            assert_eq!(schedule.time_from_log_snr(1e9), least);
            assert_eq!(schedule.time_from_log_snr(-1e9), most);
        }
    }

    #[test]
    fn the_noise_rate_is_the_slope_of_the_log_ratio() {
        for schedule in [Schedule::vp_linear(), Schedule::cosine(), Schedule::flow(), Schedule::karras()] {
            for t in [0.0123, 0.1, 0.377, 0.9] {
                let slope = (schedule.log_snr(t + 1e-6) - schedule.log_snr(t - 1e-6)) / 2e-6;
                assert!((slope / schedule.noise_rate(t) + 1.0).abs() < 1e-6, "{schedule:?} at {t}");
            }
        }
    }
}
