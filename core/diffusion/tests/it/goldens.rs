//! Every value of schedules, sampler tables and noise against the float64 reference in `goldens/make.py`.

use anyflow_diffusion::{Sampler, Schedule, noise};
use serde_json::Value;

/// The reference cancels where the code does not: s near t = 0, and what is divided by s^2.
const RELATIVE_F64: f64 = 1e-10;

fn golden(source: &str) -> Value {
    serde_json::from_str(source).unwrap()
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
        let schedule: Schedule = serde_json::from_value(entry["schedule"].clone()).unwrap();
        for row in entry["rows"].as_array().unwrap() {
            let t = row[0].as_f64().unwrap();
            close(schedule.signal(t), &row[1], "signal");
            close(schedule.noise(t), &row[2], "noise");
            close(schedule.beta(t), &row[3], "beta");
            close(schedule.log_snr(t), &row[4], "log_snr");
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * 99);
}

#[test]
fn sampler_tables_match_the_reference_everywhere() {
    let golden = golden(include_str!("../goldens/samplers.json"));
    let mut compared = 0;
    for entry in golden["tables"].as_array().unwrap() {
        let schedule: Schedule = serde_json::from_value(entry["schedule"].clone()).unwrap();
        let sampler: Sampler = serde_json::from_value(entry["sampler"].clone()).unwrap();
        let (table, rows) = (sampler.table(&schedule), entry["rows"].as_array().unwrap());
        assert_eq!((table.steps.len(), table.start_scale), (rows.len(), 1.0));
        for (step, row) in table.steps.iter().zip(rows) {
            let what = format!("{schedule:?} {sampler:?} at {}", step.t);
            let found = [step.t, step.t_next, step.next.x, step.next.denoised, step.next.noise];
            found.iter().enumerate().for_each(|(column, found)| close(*found, &row[column], &what));
            assert_eq!((step.next.saved, step.next.previous, step.save), (0.0, [0.0; 2], None));
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * (1 + 10 + 50 + 10 + 10 + 25 + 250));
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
