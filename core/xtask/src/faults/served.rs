//! Part `serve`: `kill -9` of the server, its engine or both while runs and a job are under way. Each accepted one ends
//! exactly once, as done, failed or quarantined; none is lost.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::random_moment;
use super::running::{Victim, all_gone};
use super::seat::Seat;
use super::tally::Trial;
use crate::random::Random;
use crate::service::Service;

/// Time for everything to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rows of the dataset of jobs.
const ROWS: u64 = 400;
/// The longest time from the requests to a kill, in microseconds.
const LONGEST: u64 = 400_000;

/// Something that the server has accepted.
struct Accepted {
    path: String,
    rows: u64,
}

/// Submits and kills one to three times, then waits until everything has ended.
///
/// # Errors
/// A server cannot be started, or does not answer.
pub fn attempt(seat: &Seat<'_>, random: &mut Random) -> Result<Trial> {
    let state = seat.folder.join("server");
    if state.exists() {
        fs::remove_dir_all(&state).with_context(|| state.display().to_string())?;
    }
    let mut trial = Trial::of("server");
    let mut accepted = Vec::new();
    let mut service = start(seat)?;
    if random.below(3) == 0 {
        accepted.push(submit(&service, "/v1/jobs", &json!({"pipeline": "p", "data": "data.parquet"}), ROWS)?);
        trial.count("jobs", 1);
    }
    for _ in 0..*random.of_all(&[1, 1, 2, 3]) {
        for _ in 0..1 + random.below(5) {
            let [rows, steps] = [1 + random.below(4), 10 + random.below(400)];
            let set = json!({"made.sampler.steps": steps});
            let run = json!({"pipeline": "drawn", "rows": rows, "set": set, "preview_steps": random.below(3) * 10});
            accepted.push(submit(&service, "/v1/runs", &run, rows)?);
        }
        random_moment(random, LONGEST);
        let victim = *random.of_all(&Victim::ALL);
        let engine = service.engine();
        let struck = victim == Victim::Front || service.kill_engine();
        if victim != Victim::Engine {
            drop(service);
            let engine = engine.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
            trial.wrong(all_gone(&engine.into_iter().collect::<Vec<_>>()));
            service = start(seat)?;
        }
        trial.count(if struck { "kills" } else { "too late" }, 1);
        trial.count(victim.name(), u64::from(struck));
    }
    let ends = accepted.iter().map(|one| end(&service, one, &mut trial)).collect::<Result<Vec<_>>>()?;
    let listed = service.client.get("/v1/runs")?.json()?;
    for one in accepted.iter().filter(|one| one.path.starts_with("/v1/runs/")) {
        let same = |run: &&Value| run["id"].as_str().is_some_and(|id| one.path.ends_with(id));
        let count = listed["runs"].as_array().map_or(0, |runs| runs.iter().filter(same).count());
        trial.wrong((count != 1).then(|| format!("{} is listed {count} times", one.path)));
    }
    // The next server tells the same ends.
    drop(service);
    let service = start(seat)?;
    for (one, end) in accepted.iter().zip(&ends) {
        let again = service.client.get(&one.path)?.json()?;
        let is_same = ["state", "ended", "attempts"].iter().all(|key| again[key] == end[key]);
        trial.wrong((!is_same).then(|| format!("{} ended as {end}, and later as {again}", one.path)));
    }
    Ok(trial)
}

fn start(seat: &Seat<'_>) -> Result<Service> {
    let mut command = seat.project.command();
    command.args(["serve", "drawn.yaml", "pipeline.yaml", "--data", ".", "--max-running", "3", "--state"]);
    Service::start(command.arg(seat.folder.join("server")))
}

fn submit(service: &Service, path: &str, request: &Value, rows: u64) -> Result<Accepted> {
    let answer = service.client.post(path, request)?;
    anyhow::ensure!(answer.status == 201, "{request} was refused: {}", answer.text());
    let path = answer.json()?["url"].as_str().unwrap_or_default().to_string();
    Ok(Accepted { path, rows })
}

/// Waits for the end of one.
fn end(service: &Service, one: &Accepted, trial: &mut Trial) -> Result<Value> {
    let begin = Instant::now();
    loop {
        let found = service.client.get(&one.path)?.json()?;
        match found["state"].as_str() {
            Some("queued" | "running") if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            Some(state @ ("done" | "failed" | "quarantined")) => {
                trial.count(format!("ended {state}"), 1);
                let rows = found["result"]["rows"].as_u64();
                let is_short = state == "done" && rows != Some(one.rows);
                trial.wrong(is_short.then(|| format!("{} is done with {rows:?} of {} rows", one.path, one.rows)));
                return Ok(found);
            }
            _ => {
                trial.wrong(Some(format!("{} has no end: {found}; {}", one.path, service.log())));
                return Ok(found);
            }
        }
    }
}
