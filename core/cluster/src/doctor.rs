//! `anyflow-cluster doctor`: an empty shard on every executor.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyflow_datasets::{escape_json, escape_line};
use serde_json::{Value, json};

use crate::error::{ClusterError, Result};
use crate::job::{ClusterJob, Look};
use crate::submit::{Scheduler, Status, answers};
use crate::summary::{ShardOutcome, ShardReport};
use crate::wave;

/// Empty shards of the first call. Each free executor gets one before any gets a second.
const FIRST: usize = 4;
const MOMENT: Duration = Duration::from_millis(50);
/// Seconds by which clocks may differ.
const SKEW_SECONDS: f64 = 2.0;

/// Arguments of `anyflow-cluster doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// The scheduler, such as 10.0.0.1:50050
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: String,
    /// A folder or an address of a store that each executor tries to write to
    #[arg(long, value_name = "DIR")]
    output: Option<String>,
    /// Leave out what `anyflow doctor` says on each machine
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows what the executors have.
///
/// # Errors
/// There is no executor, or one of them cannot work with the others.
pub async fn run(args: DoctorArgs) -> Result<()> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    let mut count = FIRST;
    loop {
        let begin = now();
        let asked = ask(&args, count).await?;
        let middle = f64::midpoint(begin, now());
        for ShardReport { worker, outcome, .. } in asked {
            if let ShardOutcome::Empty { found: mut has } = outcome {
                let skew = has["seconds"].as_f64().unwrap_or_default() - middle;
                // The answers of a call come from different moments of it.
                let unsure = now() - begin;
                has["clock_skew_seconds"] = json!(if skew.abs() <= unsure { 0.0 } else { skew });
                found.insert(worker, has);
            }
        }
        // An executor that got nothing may be left only if all that asked got one each.
        if found.len() * 2 <= count {
            break;
        }
        count *= 2;
    }
    let problems = problems(&found);
    if args.json {
        let all = json!({"executors": found, "problems": problems});
        println!("{}", escape_json(&serde_json::to_string_pretty(&all).map_err(ClusterError::internal)?));
    } else {
        found.iter().for_each(|(name, has)| println!("{}", line(name, has)));
    }
    if problems.is_empty() { Ok(()) } else { Err(ClusterError::Usage(problems.join("; "))) }
}

async fn ask(args: &DoctorArgs, count: usize) -> Result<Vec<ShardReport>> {
    let mut scheduler = Scheduler::connect(&args.scheduler).await?;
    let look = Look { reach: args.output.clone(), is_full: !args.quick };
    let plan = wave::plan(&ClusterJob::nothing(look), &vec![None; count])?;
    let job = scheduler.submit(wave::encoded(plan)?).await?;
    loop {
        match scheduler.status(&job).await? {
            Status::Done(locations) => return answers(locations).await,
            Status::Failed(text) => return Err(ClusterError::found_in(&text).unwrap_or(ClusterError::Ballista(text))),
            Status::Running => tokio::time::sleep(MOMENT).await,
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn line(name: &str, has: &Value) -> String {
    let text = |value: &Value| escape_line(value.as_str().unwrap_or("?")).into_owned();
    let plugins: Vec<String> = has["plugins"].as_object().into_iter().flatten().map(hash).collect();
    let reach = match &has["reach"] {
        Value::Null => String::new(),
        reach => match reach["error"].as_str() {
            Some(error) => format!("\n  cannot write: {}", escape_line(error)),
            None => format!("\n  writes to {}", text(&reach["place"])),
        },
    };
    format!(
        "{}: anyflow {}, ballista {}, device {}, clock {:+.1} s\n  plugins: {}{reach}",
        escape_line(name),
        text(&has["version"]),
        text(&has["ballista"]),
        text(&has["device"]),
        has["clock_skew_seconds"].as_f64().unwrap_or_default(),
        plugins.join(", "),
    )
}

fn hash((name, hash): (&String, &Value)) -> String {
    escape_line(&format!("{name} {}", hash.as_str().and_then(|hash| hash.get(..12)).unwrap_or("?"))).into_owned()
}

/// Why the executors cannot work together.
fn problems(found: &BTreeMap<String, Value>) -> Vec<String> {
    let mut problems = Vec::new();
    let Some((first, like)) = found.first_key_value() else { return vec!["no executor answers; start some".into()] };
    for (name, has) in found {
        for what in ["version", "ballista", "plugins"] {
            if has[what] != like[what] {
                problems.push(format!("{name} has another {what} than {first}: {} and {}", has[what], like[what]));
            }
        }
        if let Some(error) = has["reach"]["error"].as_str() {
            problems.push(format!("{name} cannot write: {error}"));
        }
        let skew = has["clock_skew_seconds"].as_f64().unwrap_or_default();
        if skew.abs() > SKEW_SECONDS {
            problems.push(format!("the clock of {name} differs by {skew:.1} s; `anyflow gc` goes by the time"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_executors_control_no_terminal() {
        let has = json!({"version": "\u{1b}[31m", "ballista": "55", "plugins": {"a\nb": "0"}, "reach": {"error": "c\u{7}\nd"}});
        let shown = line("e\u{9b}31m\nf", &has);
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{shown}");
    }

    #[test]
    fn executors_that_differ_are_named() {
        let has = |hash: &str, skew: f64| json!({"version": "1", "ballista": "55", "plugins": {"a": hash}, "clock_skew_seconds": skew});
        let found = BTreeMap::from([("a".to_string(), has("1", 0.0)), ("b".to_string(), has("2", 9.0))]);
        let problems = problems(&found);
        assert!(
            problems.len() == 2 && problems[0].starts_with("b has another plugins") && problems[1].contains("9.0 s")
        );
    }
}
