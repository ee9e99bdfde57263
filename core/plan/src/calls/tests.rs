use std::sync::atomic::AtomicU64;

use super::table::SLOTS;
use super::*;

fn words() -> Vec<AtomicU64> {
    (0..WORDS).map(|_| AtomicU64::new(0)).collect()
}

const DECODE: Call<&str> = Call { node: Some("back"), component: "nums/number", version: "0.1.0", call: "decode" };
const LOAD: Call<&str> = Call { node: None, component: "nums", version: "0.1.0", call: "load" };

fn dying(slot: usize) -> Dying {
    let mut thread = [0; 16];
    thread[..6].copy_from_slice(b"writer");
    Dying { cause: Cause::Signal(11), sender: None, slot, address: 150, thread }
}

#[test]
fn calls_are_there_while_they_are_under_way() {
    let words = words();
    let table = CallTable::new(&words).unwrap();
    let one = table.begin(&DECODE, 7, 0);
    let two = table.begin(&LOAD, 9, 5);
    let found: Vec<_> = table.under_way().collect();
    assert_eq!(found.iter().map(|(begin, _)| *begin).collect::<Vec<_>>(), [7, 9]);
    assert_eq!(found[0].1.node.as_deref(), Some("back"));
    assert_eq!((found[0].1.plugin(), found[1].1.plugin()), ("nums", "nums"));
    assert_eq!(found[1].1.node, None);
    table.end(one);
    table.end(two);
    assert_eq!(table.under_way().count(), 0);
    assert_eq!(table.begin(&LOAD, 0, one), one, "a slot is used again");
}

#[test]
fn the_first_death_is_told_with_the_call_of_its_own_thread() {
    let words = words();
    let table = CallTable::new(&words).unwrap();
    assert_eq!(table.death(), None);
    table.library("other", 100..200);
    table.begin(&LOAD, 0, 0);
    let slot = table.begin(&DECODE, 0, 0);
    table.died(&dying(slot));
    table.died(&Dying { cause: Cause::Exit, ..dying(0) });
    let died = table.death().unwrap();
    assert_eq!((died.cause, died.sender, died.thread.as_str()), (Cause::Signal(11), None, "writer"));
    assert_eq!(died.call.unwrap().component, "nums/number");
    assert_eq!(died.code.as_deref(), Some("other"));
}

#[test]
fn a_death_outside_any_call_has_none() {
    let words = words();
    let table = CallTable::new(&words).unwrap();
    table.begin(&DECODE, 0, 0);
    table.died(&Dying { address: 1, ..dying(0) });
    let died = table.death().unwrap();
    assert_eq!((died.call, died.code), (None, None));
}

#[test]
fn long_names_are_cut_and_many_threads_find_slots() {
    let words = words();
    let table = CallTable::new(&words).unwrap();
    let long = "ä".repeat(500);
    let call = Call { node: Some(long.as_str()), component: &long, version: &long, call: &long };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|_| table.end(table.begin(&call, 1, 0))));
        }
    });
    table.begin(&call, 1, SLOTS * 2);
    assert!(table.under_way().next().unwrap().1.component.starts_with("ää"));
}

#[test]
fn any_words_are_read_without_a_panic() {
    let words: Vec<AtomicU64> =
        (0..WORDS as u64).map(|n| AtomicU64::new(n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    let table = CallTable::new(&words).unwrap();
    let _ = (table.death(), table.under_way().count());
    assert!(CallTable::new(&words[1..]).is_none());
}
