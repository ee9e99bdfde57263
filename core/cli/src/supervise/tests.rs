use std::process::Command;

use anyflow_plan::event::Fault;
use serde_json::json;

use super::*;

/// An engine that is a shell script.
fn engine(script: &str) -> Result<Value, EngineError> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    supervise(command, &mut Progress::silent())
}

fn death(script: &str) -> Box<Death> {
    match engine(script) {
        Err(EngineError::Died(death)) => death,
        other => panic!("{other:?}"),
    }
}

const ENTER: &str = r#"echo '{"event":"enter","node":"picture","plugin":"image"}'; "#;

#[test]
fn the_result_is_what_done_says() {
    let result =
        engine(r#"echo '{"event":"note","text":"x"}'; echo log >&2; echo '{"event":"done","result":{"rows":3}}'"#);
    assert_eq!(result.unwrap(), json!({"rows": 3}));
}

#[test]
fn a_death_after_the_result_changes_nothing() {
    assert_eq!(engine(r#"echo '{"event":"done","result":1}'; kill -SEGV $$"#).unwrap(), json!(1));
}

#[test]
fn the_fault_gives_the_exit_code() {
    for (word, fault, code) in [
        ("run", Fault::Run, 1),
        ("user", Fault::User, 2),
        ("plugin", Fault::Plugin, 3),
        ("internal", Fault::Internal, 1),
    ] {
        let script = format!(r#"echo '{{"event":"failed","fault":"{word}","text":"because"}}'; exit 9"#);
        let error = engine(&script).unwrap_err();
        assert_eq!(error.exit_code(), code);
        assert!(matches!(error, EngineError::Failed { fault: found, ref text } if found == fault && text == "because"));
    }
}

#[test]
fn a_plugin_that_kills_the_engine_is_named() {
    let death = death(&format!("{ENTER} echo the last word >&2; kill -SEGV $$"));
    assert_eq!(death.exit_code(), 3);
    let text = death.to_string();
    for part in ["signal 11 (SIGSEGV", "node `picture`", "plugin `image`", "same command resumes", "  the last word"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(death.json()["signal"], 11);
}

#[test]
fn a_blow_from_outside_is_not_the_plugins_fault() {
    let death = death(&format!("{ENTER} kill -KILL $$"));
    assert_eq!(death.exit_code(), 1);
    assert!(death.to_string().contains("ran out of memory"));
}

#[test]
fn without_a_plugin_a_death_is_a_failed_run() {
    let outside = death(&format!(r#"{ENTER} echo '{{"event":"enter","node":"joint","plugin":null}}'; exit 7"#));
    assert_eq!(outside.exit_code(), 1);
    assert!(outside.to_string().contains("code 7"), "{outside}");
    let early = death("for i in $(seq 50); do echo line $i >&2; done; exit 127").to_string();
    assert!(early.contains("before it entered any node") && early.contains("line 50"), "{early}");
    assert!(!early.contains("line 30\n"), "only the tail is shown: {early}");
}

#[test]
fn what_a_plugin_prints_is_log_and_does_not_hide_events() {
    let result = engine(r#"echo hello; printf 'no newline {"x":1}'; echo '{"event":"done","result":2}'"#);
    assert_eq!(result.unwrap(), json!(2));
    assert!(death("echo hello; exit 1").to_string().contains("hello"));
}

#[test]
fn a_program_that_cannot_start_is_said() {
    let error = supervise(Command::new("/no/such/engine"), &mut Progress::silent()).unwrap_err();
    assert!(matches!(error, EngineError::Start { .. }));
    assert_eq!(error.exit_code(), 1);
}
