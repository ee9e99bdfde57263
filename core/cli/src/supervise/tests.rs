use std::process::Command;
use std::time::{Duration, Instant};

use anyflow_plan::event::Fault;
use anyflow_plan::frame::{FrameWriter, LONGEST_EVENT};
use anyflow_plan::protocol::VERSION;
use serde_json::json;

use super::*;

/// Runs a shell script as the engine.
fn engine(script: &str) -> Result<Value, EngineFailure> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    supervise(command, Box::new(std::iter::empty()), &mut Progress::silent())
}

fn death(script: &str) -> Box<Death> {
    match engine(script) {
        Err(EngineFailure::Died(death)) => death,
        other => panic!("{other:?}"),
    }
}

fn protocol(script: &str) -> String {
    match engine(script) {
        Err(EngineFailure::Protocol { found }) => found,
        other => panic!("{other:?}"),
    }
}

/// A shell command that writes bytes.
fn printed(bytes: &[u8]) -> String {
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!("printf '{octal}'; ")
}

fn frames(events: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FrameWriter::new(&mut bytes, LONGEST_EVENT);
    events.iter().for_each(|event| writer.write(event).unwrap());
    bytes
}

/// A shell command that sends these events.
fn tells(events: &[Value]) -> String {
    printed(&frames(events))
}

fn done(result: Value) -> Value {
    json!({"event": "done", "result": result})
}

fn failed(fault: &str) -> Value {
    json!({"event": "failed", "fault": fault, "text": "because"})
}

fn enter() -> Value {
    json!({"event": "enter", "node": "image", "plugin": "image"})
}

#[test]
fn the_result_is_that_of_the_done_event() {
    let events = tells(&[json!({"event": "note", "text": "x"}), done(json!({"rows": 3}))]);
    assert_eq!(engine(&format!("echo log >&2; {events}")).unwrap(), json!({"rows": 3}));
}

#[test]
fn a_result_counts_only_with_status_0() {
    let said = tells(&[done(json!(1))]);
    for (script, wanted) in [
        (format!("{said} exit 9"), "exited with code 9 after it reported success"),
        (format!("{said} kill -SEGV $$"), "signal 11"),
        (format!("{said} kill -KILL $$"), "after it reported success"),
    ] {
        let death = death(&script);
        assert!(death.to_string().contains(wanted), "{death}");
        assert_eq!(death.exit_code(), 1);
    }
}

#[test]
fn a_failure_wins_over_done_in_either_order() {
    let orders = [[failed("run"), done(json!(1))], [done(json!(1)), failed("run")]];
    for events in orders {
        assert!(matches!(engine(&tells(&events)), Err(EngineFailure::Failed { fault: Fault::Run, .. })));
    }
}

#[test]
fn an_event_after_done_is_a_protocol_error() {
    for after in [done(json!(2)), enter()] {
        let found = protocol(&tells(&[done(json!(1)), after]));
        assert!(found.contains("after the event `done`"), "{found}");
    }
}

#[test]
fn an_invalid_frame_is_a_protocol_error_and_ends_the_engine() {
    let whole = frames(&[done(json!(1))]);
    let second = [frames(&[enter()]), whole.clone()].concat();
    for (bytes, wanted) in [
        (b"{\"event\":\"done\",\"result\":1}\n".to_vec(), "more than the"),
        ([vec![1, 0, 0, 0], whole[4..].to_vec()].concat(), "cannot read frame 0"),
        (second, "expected frame 1, found frame 0"),
        ([whole.clone(), whole].concat(), "expected frame 1, found frame 0"),
        ((LONGEST_EVENT as u32 + 1).to_le_bytes().repeat(4), "more than the"),
        (frames(&[json!({"event": "unheard-of"})]), "cannot read"),
    ] {
        let begin = Instant::now();
        let found = protocol(&format!("{} sleep 60", printed(&bytes)));
        assert!(found.contains(wanted), "{found}");
        assert!(begin.elapsed() < Duration::from_secs(30), "the engine is not waited for");
    }
}

#[test]
fn an_engine_of_another_release_is_named() {
    let mut frame = frames(&[done(json!(1))]);
    frame[4..8].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let begin = Instant::now();
    let refused = engine(&format!("{} sleep 60", printed(&frame))).unwrap_err();
    assert!(matches!(refused, EngineFailure::Release { expected: VERSION, .. }), "{refused}");
    assert!(refused.to_string().contains("use both programs of the same release"), "{refused}");
    assert!(begin.elapsed() < Duration::from_secs(30), "the engine is not waited for");
    let later = [frames(&[enter()]), frame].concat();
    assert!(protocol(&printed(&later)).contains("frame 1 has version"), "a plugin may have written it");
}

#[test]
fn an_engine_that_dies_in_the_middle_of_a_frame_is_a_death() {
    let half = &frames(&[done(json!(1))])[..20];
    let death = death(&format!("{} kill -SEGV $$", printed(half)));
    assert!(death.to_string().contains("signal 11"), "{death}");
}

#[test]
fn the_fault_gives_the_exit_code() {
    for (word, fault, code) in [
        ("run", Fault::Run, 1),
        ("user", Fault::User, 2),
        ("plugin", Fault::Plugin, 3),
        ("internal", Fault::Internal, 1),
    ] {
        let error = engine(&format!("{} exit 9", tells(&[failed(word)]))).unwrap_err();
        assert_eq!(error.exit_code(), code);
        assert!(
            matches!(error, EngineFailure::Failed { fault: found, ref text } if found == fault && text == "because")
        );
    }
}

#[test]
fn a_death_names_the_signal_and_shows_the_end_of_the_log() {
    let death = death(&format!("{} echo the last word >&2; kill -SEGV $$", tells(&[enter()])));
    let text = death.to_string();
    for part in ["signal 11 (SIGSEGV", "last node entered was `image`", "run the same command again", "  the last word"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(death.json()["signal"], 11);
    assert_eq!(death.exit_code(), 1, "the thread that died may not have been in the plugin");
}

#[test]
fn a_kill_from_outside_does_not_blame_the_plugin() {
    let death = death(&format!("{} kill -KILL $$", tells(&[enter()])));
    assert_eq!(death.exit_code(), 1);
    assert!(death.to_string().contains("OOM killer"));
}

#[test]
fn a_death_before_any_node_shows_the_end_of_the_log() {
    let early = death("for i in $(seq 50); do echo line $i >&2; done; exit 127").to_string();
    assert!(early.contains("before it entered any node") && early.contains("line 50"), "{early}");
    assert!(early.contains("code 127") && !early.contains("line 30\n"), "only the tail is shown: {early}");
}

#[test]
fn a_child_of_the_engine_does_not_delay_the_end_and_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late");
    let child = format!("(sleep 8; echo x > {}) & ", late.display());
    let begin = Instant::now();
    death(&format!("{child} kill -SEGV $$"));
    assert_eq!(engine(&format!("{child} {}", tells(&[done(json!(1))]))).unwrap(), json!(1));
    assert!(begin.elapsed() < Duration::from_secs(7), "{:?}", begin.elapsed());
    std::thread::sleep(Duration::from_secs(9).saturating_sub(begin.elapsed()));
    assert!(!late.exists(), "the child survived");
}

#[test]
fn an_engine_that_does_not_exit_after_its_last_event_is_killed() {
    let begin = Instant::now();
    let error = engine(&format!("{} sleep 100", tells(&[failed("user")]))).unwrap_err();
    assert!(matches!(error, EngineFailure::Failed { .. }));
    let death = death(&format!("{} sleep 100", tells(&[done(json!(1))])));
    assert!(death.to_string().contains("did not exit by itself after it reported success"), "{death}");
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn the_engine_gets_the_whole_order_and_an_open_pipe() {
    let order = vec![b'x'; 1_000_000];
    let script = format!(
        "test $(head -c 1000000 | wc -c) = 1000000 || exit 7; timeout 1 head -c 1; test $? = 124 || exit 8; {}",
        tells(&[done(json!(1))])
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script]);
    assert_eq!(
        supervise(command, Box::new(std::iter::once(order.clone())), &mut Progress::silent()).unwrap(),
        json!(1)
    );
    // An engine that does not read its order explains why when it exits.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exit 7"]);
    assert!(matches!(
        supervise(command, Box::new(std::iter::once(order)), &mut Progress::silent()),
        Err(EngineFailure::Died(_))
    ));
}

#[test]
fn a_missing_program_is_a_start_error() {
    let error =
        supervise(Command::new("/no/such/engine"), Box::new(std::iter::empty()), &mut Progress::silent()).unwrap_err();
    assert!(matches!(error, EngineFailure::Start { .. }));
    assert_eq!(error.exit_code(), 1);
}
