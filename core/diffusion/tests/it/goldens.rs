//! Every value of schedules, sampler tables and noise against the float64 reference of `goldens/make.py`.

use anyflow_diffusion::{Sampling, Schedule, Solver, Update, noise};
use serde_json::Value;

/// The reference cancels where the code does not: s near t = 0, and quotients by s^2.
const RELATIVE_F64: f64 = 1e-10;

fn golden(source: &str) -> Value {
    serde_json::from_str(source).unwrap()
}

fn schedule(setting: &Value) -> Schedule {
    Schedule::new(serde_json::from_value::<anyflow_config::ScheduleConfig>(setting.clone()).unwrap())
}

fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= RELATIVE_F64 * expected.abs().max(1.0), "{what}: {found} {expected}");
}

#[test]
fn schedules_match_the_reference_everywhere() {
    let golden = golden(include_str!("../goldens/schedules.json"));
    let mut compared = 0;
    for entry in golden["schedules"].as_array().unwrap() {
        let schedule = schedule(&entry["schedule"]);
        for row in entry["rows"].as_array().unwrap() {
            let t = row[0].as_f64().unwrap();
            close(schedule.signal(t), &row[1], "signal");
            close(schedule.noise(t), &row[2], "noise");
            close(schedule.beta(t), &row[3], "beta");
            close(schedule.log_snr(t), &row[4], "log_snr");
            close(schedule.diffusion(t), &row[5], "diffusion");
            compared += 1;
        }
    }
    assert_eq!(compared, 5 * 50);
}

#[test]
fn sampler_tables_match_the_reference_everywhere() {
    let golden = golden(include_str!("../goldens/samplers.json"));
    let mut compared = 0;
    for entry in golden["tables"].as_array().unwrap() {
        let schedule = schedule(&entry["schedule"]);
        let sampler: Sampling = serde_json::from_value(entry["sampler"].clone()).unwrap();
        let table = sampler.table(&schedule);
        let rows = entry["rows"].as_array().unwrap();
        assert_eq!((table.steps.len(), table.start_scale), (rows.len(), 1.0));
        for (step, row) in table.steps.iter().zip(rows) {
            let what = format!("{schedule:?} {sampler:?} at {}", step.from.t);
            let found = [step.from.t, step.to.t, step.next.x, step.next.denoised, step.next.noise];
            found.iter().enumerate().for_each(|(column, found)| close(*found, &row[column], &what));
            assert_eq!((step.next.saved, step.next.previous, step.save), (0.0, [0.0; 2], None));
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * (1 + 10 + 50 + 10 + 10 + 25 + 100));
}

#[test]
fn solvers_match_the_reference_everywhere() {
    let golden = golden(include_str!("../goldens/solvers.json"));
    let mut compared = 0;
    let mut kinds = std::collections::BTreeSet::new();
    for entry in golden.as_array().unwrap() {
        let schedule = schedule(&entry["schedule"]);
        let sampler: Sampling = serde_json::from_value(entry["sampler"].clone()).unwrap();
        kinds.insert(entry["sampler"]["kind"].to_string());
        let table = sampler.table(&schedule);
        let rows = entry["rows"].as_array().unwrap();
        assert_eq!((table.steps.len(), sampler.evaluations()), (rows.len(), rows.len()));
        close(table.start_scale, &entry["start_scale"], "start_scale");
        for (step, row) in table.steps.iter().zip(rows) {
            let what = format!("{schedule:?} {sampler:?} at {}", step.from.t);
            let [x, saved, denoised, last, before, noise] = terms(&step.next);
            let found = [step.from.t, step.to.t, x, saved, denoised, last, before, noise];
            found.iter().enumerate().for_each(|(column, found)| close(*found, &row[column], &what));
            assert_eq!(step.save.is_none(), row[8].is_null(), "{what}");
            for (found, expected) in step.save.iter().flat_map(terms).zip(row[8].as_array().into_iter().flatten()) {
                close(found, expected, &format!("{what}: saved"));
            }
            compared += 1;
        }
    }
    assert_eq!((compared, kinds.len()), (5 * (1 + 3 + 19 + 4 * 13 + 5 * 10 + 25), 9));
}

fn terms(update: &Update) -> [f64; 6] {
    [update.x, update.saved, update.denoised, update.previous[0], update.previous[1], update.noise]
}

#[test]
fn noise_has_the_bits_of_the_reference() {
    let golden = golden(include_str!("../goldens/noise.json"));
    for case in golden.as_array().unwrap() {
        let number = |field: &str| case[field].as_str().unwrap().parse().unwrap();
        let expected: Vec<u32> = serde_json::from_value(case["bits"].clone()).unwrap();
        let mut found = vec![0.0; expected.len()];
        let step = case["step"].as_u64().unwrap() as u32;
        noise::normals(number("seed"), number("row"), case["stream"].as_str().unwrap(), step, &mut found);
        assert_eq!(found.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected, "{case}");
    }
}
