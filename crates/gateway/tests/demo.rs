//! `backstop demo`: every scene checks itself.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

#[test]
fn every_scene_goes_as_it_should() {
    let output = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .args(["demo", "--fast"])
        .output()
        .expect("the command runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{shown}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in [
        "OpenAI answers 500",
        "rate limit",
        "hangs",
        "rejects the gateway's key",
        "went on after",
        "no finish reason",
        "everything is down",
        "all_deployments_failed, retry-after",
        "skipped: cooling",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "wider than a terminal: {line}");
    }
    assert!(
        !shown.contains("FAILED") && !shown.contains('\u{1b}'),
        "plain text where nobody looks at colours"
    );
}

#[test]
fn it_stops_when_it_is_told_to() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .arg("demo")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut shown = BufReader::new(demo.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.starts_with(" 1. ") {
        line.clear();
        assert!(
            shown.read_line(&mut line).expect("text") > 0,
            "it has ended"
        );
    }
    let pid = Pid::from_child(&demo);
    kill_process(pid, Signal::INT).expect("it is there");
    let status = demo.wait().expect("it ends");
    let mut rest = String::new();
    shown.read_to_string(&mut rest).expect("text");
    assert!(status.success(), "{rest}");
    assert!(!rest.contains("scenes went"), "{rest}");
}
