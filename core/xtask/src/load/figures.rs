//! What a load measures.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::requests::Wanted;

/// All requests, once.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    seconds: f64,
    /// Processor time of server and engine, in seconds.
    cpu_seconds: [f64; 2],
    network_calls: u64,
    median_latency: f64,
    p95_latency: f64,
}

impl Round {
    /// A round with the latencies of its requests.
    pub fn new(seconds: f64, cpu_seconds: [f64; 2], network_calls: u64, mut latencies: Vec<Duration>) -> Self {
        latencies.sort();
        let at = |share: f64| {
            let place = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
            latencies.get(place).map_or(0.0, Duration::as_secs_f64)
        };
        Round { seconds, cpu_seconds, network_calls, median_latency: at(0.5), p95_latency: at(0.95) }
    }
}

/// The mixed requests of a pair, in three ways and several rounds.
#[derive(Debug, Serialize)]
pub struct Mix {
    pair: &'static str,
    requests: usize,
    rows: u64,
    clients: usize,
    /// Each request when the one before has ended.
    pub one_after_another: Vec<Round>,
    /// One request for each pipeline and number of steps, one after another.
    pub grouped: Vec<Round>,
    /// The requests from all clients.
    pub together: Vec<Round>,
}

impl Mix {
    /// No rounds yet.
    pub fn new(pair: &'static str, wanted: &[Wanted], clients: usize) -> Self {
        let rows = wanted.iter().map(|one| one.rows).sum();
        let [one_after_another, grouped, together] = Default::default();
        Mix { pair, requests: wanted.len(), rows, clients, one_after_another, grouped, together }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} requests, {} rows, {} clients", self.pair, self.requests, self.rows, self.clients)?;
        let ways =
            [("one after another", &self.one_after_another), ("grouped", &self.grouped), ("together", &self.together)];
        let together = median(&self.together, |round| round.seconds);
        for (name, rounds) in ways {
            let of = |figure: fn(&Round) -> f64| median(rounds, figure);
            let seconds = of(|round| round.seconds);
            writeln!(
                f,
                "  {name}: {seconds:.2} s ({:.2} x), {:.0} network calls, latency {:.0} ms, p95 {:.0} ms, \
                 processor {:.2} s server, {:.2} s engine",
                seconds / together,
                of(|round| round.network_calls as f64),
                1000.0 * of(|round| round.median_latency),
                1000.0 * of(|round| round.p95_latency),
                of(|round| round.cpu_seconds[0]),
                of(|round| round.cpu_seconds[1]),
            )?;
        }
        Ok(())
    }
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Many small requests in a row.
#[derive(Debug, Serialize)]
pub struct Endurance {
    requests: usize,
    per_second: f64,
    p95_latency: f64,
    /// Resident memory of server and engine in MB, before and after.
    before_mb: [f64; 2],
    after_mb: [f64; 2],
}

impl Endurance {
    /// The figures of a round.
    pub fn new(requests: usize, before_mb: [f64; 2], after_mb: [f64; 2], round: &Round) -> Self {
        let per_second = requests as f64 / round.seconds;
        Endurance { requests, per_second, p95_latency: round.p95_latency, before_mb, after_mb }
    }
}

impl fmt::Display for Endurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endurance { requests, per_second, p95_latency, before_mb, after_mb } = self;
        writeln!(f, "{requests} requests in a row: {per_second:.0} per second, p95 {:.0} ms", 1000.0 * p95_latency)?;
        for (name, place) in [("server", 0), ("engine", 1)] {
            writeln!(f, "  {name}: {:.1} MB before, {:.1} MB after", before_mb[place], after_mb[place])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_the_latency_of_its_slow_requests() {
        let latencies = (1..=100).rev().map(Duration::from_millis).collect();
        let round = Round::new(1.0, [0.0; 2], 0, latencies);
        assert_eq!((round.median_latency, round.p95_latency), (0.051, 0.096));
        assert_eq!(median(&[round.clone(), round], |round| round.seconds), 1.0);
    }
}
