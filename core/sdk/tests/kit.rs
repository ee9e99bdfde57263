//! The test kit finds each broken promise with the right check. Runs under Miri as well: every call crosses the C
//! tables.

#![cfg(feature = "testkit")]
#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyflow_sdk::testkit::{Check, CheckEvent, Kit, Outcome};
use anyflow_sdk::{Cell, Codec, CodecDescriptor, Error, OwnedCell, Parameters, descriptor::*};

/// Words of at most `length` lowercase letters <-> one number per letter, with one fault.
struct Letters {
    length: usize,
    fault: Fault,
    calls: AtomicU32,
    kept: Mutex<Vec<Vec<u8>>>,
}

#[derive(Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    None,
    /// Ignores the kind of a cell.
    AnyKind,
    /// Panics for an unknown letter.
    Panics,
    /// Gives numbers out of its range.
    Range,
    /// Gives a cell of another kind than its descriptor says.
    CellKind,
    /// Writes the number of its calls into the array.
    Counts,
    /// Writes the letters in reverse order.
    Reverses,
    /// Keeps everything that it reads.
    Leaks,
    /// Panics when its size is odd.
    Sizes,
    /// Gives NaN for some texts.
    Nan,
}

#[derive(serde::Deserialize)]
struct Config {
    length: usize,
    fault: Fault,
}

impl Codec for Letters {
    type Element = f32;

    const DESCRIPTOR: CodecDescriptor = CodecDescriptor {
        id: "letters",
        modality: "word",
        summary: "lowercase letters <-> numbers",
        cell: CellKind::Utf8,
        feature: "Value(string)",
        array: f32_port_in(&[axis_of("letter", "length")], 0, 26),
        parameters: r#"{
            "length": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 6},
            "fault": {
                "enum": ["none", "any-kind", "panics", "range", "cell-kind", "counts", "reverses", "leaks", "sizes", "nan"],
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
        Ok(Letters { length, fault, calls: AtomicU32::new(0), kept: Mutex::default() })
    }

    fn encode(&self, cell: Cell<'_>, array: &mut [f32]) -> Result<(), Error> {
        let text = match (cell, self.fault) {
            (Cell::I64(_), Fault::AnyKind) => "a",
            (cell, _) => cell.text()?,
        };
        if self.fault == Fault::Leaks {
            std::mem::forget(vec![1u8; 4096]);
            self.kept.lock().unwrap().push(text.into());
        }
        for (number, letter) in text.chars().enumerate() {
            if number == self.length {
                return Err(Error::data("the word is too long"));
            }
            array[number] = match letter {
                'a'..='z' => (letter as u32 - 'a' as u32 + 1) as f32,
                _ if self.fault == Fault::Panics => panic!("unknown letter"),
                _ if self.fault == Fault::Nan => f32::NAN,
                _ => return Err(Error::data("the word has other characters than lowercase letters")),
            };
        }
        match self.fault {
            Fault::Range => array[0] = 27.0,
            Fault::Counts => array[0] = (self.calls.fetch_add(1, Ordering::Relaxed) % 26) as f32,
            Fault::Reverses => array[..text.len()].reverse(),
            _ => {}
        }
        Ok(())
    }

    fn decode(&self, array: &[f32]) -> Result<OwnedCell, Error> {
        if self.fault == Fault::CellKind {
            return Ok(OwnedCell::I64(1));
        }
        let letter = |x: &f32| match x.round() {
            x if (1.0..=26.0).contains(&x) => Some(char::from(b'a' + x as u8 - 1)),
            _ => None,
        };
        if array.iter().any(|x| x.is_nan()) {
            return Err(Error::data("the array holds a value that is not a number"));
        }
        Ok(OwnedCell::Utf8(array.iter().map_while(letter).collect()))
    }
}

anyflow_sdk::export_plugin! {
    name: "word",
    license: "MIT",
    summary: "words",
    codecs: [Letters],
}

fn checks(fault: &str) -> Vec<Check> {
    let kit = Kit::new(ENTRY).parameter("letters", "fault", fault).sample("letters", OwnedCell::Utf8("abc".into()));
    kit.run(|_| {})
}

fn failed(fault: &str) -> Vec<&'static str> {
    checks(fault).into_iter().filter(|c| c.outcome == Outcome::Failed).map(|c| c.check).collect()
}

#[test]
fn a_codec_that_keeps_its_promises_passes_every_check() {
    let checks = checks("none");
    let missed: Vec<_> = checks.iter().filter(|c| c.outcome != Outcome::Passed).collect();
    // Miri's allocator is not glibc's.
    assert!(missed.iter().all(|c| cfg!(miri) && c.check == "leaks"), "{missed:?}");
    assert!(checks.len() >= 18, "{checks:?}");
}

#[test]
fn every_fault_is_found_by_its_check() {
    let cases = [
        ("any-kind", "wrong-cells"),
        ("panics", "garbage"),
        ("range", "encode"),
        ("cell-kind", "decode"),
        ("counts", "determinism"),
        ("reverses", "round-trip"),
        ("sizes", "odd-sizes"),
        ("nan", "garbage"),
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

#[test]
fn a_check_is_reported_before_it_begins() {
    let mut open = None;
    let checks = Kit::new(ENTRY).run(|step| match step {
        CheckEvent::Begin { check, .. } => assert!(open.replace(check).is_none()),
        CheckEvent::End(done) => assert_eq!(open.take(), Some(done.check)),
    });
    assert!(open.is_none() && !checks.is_empty());
}

#[test]
fn a_refused_sample_and_an_unknown_component_fail() {
    let kit = Kit::new(ENTRY).sample("letters", OwnedCell::Utf8("NO".into()));
    let encode = kit.run(|_| {}).into_iter().find(|c| c.check == "encode").unwrap();
    assert!(encode.outcome == Outcome::Failed && encode.text.contains("given sample 0 is refused"), "{encode}");
    let unknown = Kit::new(ENTRY).parameter("letter", "length", 3).run(|_| {});
    assert!(unknown.iter().any(|c| c.check == "names" && c.outcome == Outcome::Failed));
}

#[test]
#[should_panic(expected = "failed letters garbage")]
fn a_failed_check_panics_with_its_name_in_a_test() {
    Kit::new(ENTRY).parameter("letters", "fault", "panics").check();
}
