//! The test kit finds each broken promise of an array module. Runs under Miri as well.

#![cfg(feature = "testkit")]
#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::sync::atomic::{AtomicU32, Ordering};

use anyflow_sdk::testkit::{Check, Kit, Outcome};
use anyflow_sdk::{
    Array, ArrayModule, ArrayMut, Error, ModuleDescriptor, Parameters, Role, RoleDescriptor, descriptor::*,
};

/// Halves signals and doubles them again, with one fault.
struct Volume {
    length: usize,
    fault: Fault,
    calls: AtomicU32,
}

#[derive(Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    None,
    /// Does not check the size of its input.
    Believes,
    /// Gives numbers out of its range.
    Range,
    /// Gives NaN.
    Nan,
    /// Writes the number of its calls into the output.
    Counts,
    /// Gives outputs that depend on the other rows.
    Mixes,
    /// Leaks memory.
    Leaks,
    /// Panics when its size is odd.
    Sizes,
}

#[derive(serde::Deserialize)]
struct Config {
    length: usize,
    fault: Fault,
}

const SIGNAL: Port = f32_port_in(&[axis_of("sample", "length")], -1, 1);

impl ArrayModule for Volume {
    const DESCRIPTOR: ModuleDescriptor = ModuleDescriptor {
        id: "volume",
        modality: "signal",
        summary: "halves signals and doubles them again",
        roles: &[
            RoleDescriptor { role: Role::Encode, input: SIGNAL, output: SIGNAL },
            RoleDescriptor { role: Role::Decode, input: SIGNAL, output: SIGNAL },
        ],
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1, "maximum": 1000},
            "fault": {
                "enum": ["none", "believes", "range", "nan", "counts", "mixes", "leaks", "sizes"],
                "default": "none"
            }
        }"#,
    };

    fn new(parameters: &Parameters) -> Result<Self, Error> {
        let Config { length, fault } = parameters.read()?;
        assert!(fault != Fault::Sizes || length % 2 == 0, "an odd size");
        if !(1..=1000).contains(&length) {
            return Err(Error::Parameters(format!("length is {length}")));
        }
        Ok(Volume { length, fault, calls: AtomicU32::new(0) })
    }

    fn forward(&self, role: Role, input: &Array<'_>, output: &mut ArrayMut<'_>) -> Result<(), Error> {
        if self.fault != Fault::Believes && input.shape[1] != self.length as i64 {
            return Err(Error::Failed(format!("the input has {} samples, not {}", input.shape[1], self.length)));
        }
        let from = input.floats()?;
        assert!(from.len() == output.elements.len(), "sizes that were not checked");
        let factor = if role == Role::Encode { 0.5 } else { 2.0 };
        for (to, x) in output.elements.iter_mut().zip(from) {
            *to = (x * factor).clamp(-1.0, 1.0);
        }
        if self.fault == Fault::Leaks {
            std::mem::forget(from.to_vec());
        }
        let mean = from.iter().sum::<f32>() / from.len().max(1) as f32;
        let Some(first) = output.elements.first_mut() else { return Ok(()) };
        match self.fault {
            Fault::Range => *first = 1.5,
            Fault::Nan => *first = f32::NAN,
            Fault::Counts => *first = (self.calls.fetch_add(1, Ordering::Relaxed) % 10) as f32 / 10.0,
            Fault::Mixes => *first = mean.clamp(-1.0, 1.0),
            _ => {}
        }
        Ok(())
    }
}

anyflow_sdk::export_plugin! {
    name: "signal",
    license: "MIT",
    summary: "signals",
    codecs: [],
    arrays: [Volume],
}

fn checks(fault: &str) -> Vec<Check> {
    Kit::new(ENTRY).parameter("volume", "fault", fault).run(|_| {})
}

fn failed(fault: &str) -> Vec<&'static str> {
    checks(fault).into_iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.check).collect()
}

#[test]
fn a_module_that_keeps_its_promises_passes_every_check() {
    let checks = checks("none");
    let missed: Vec<_> = checks.iter().filter(|c| c.outcome != Outcome::Passed).collect();
    // Miri's allocator is not glibc's.
    assert!(missed.iter().all(|c| cfg!(miri) && c.check == "leaks"), "{missed:?}");
    assert!(checks.len() >= 13, "{checks:?}");
}

#[test]
fn every_fault_is_found_by_its_check() {
    let cases = [
        ("believes", "wrong-arrays"),
        ("range", "shapes"),
        ("nan", "shapes"),
        ("counts", "determinism"),
        ("counts", "state"),
        ("mixes", "batch"),
        ("sizes", "odd-sizes"),
    ];
    for (fault, check) in cases {
        let found = failed(fault);
        assert!(found.contains(&check), "{fault}: {found:?}");
    }
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
fn a_leak_is_found() {
    assert_eq!(failed("leaks"), ["leaks"]);
}
