//! `backstop demo`: every scene checks itself.

use std::process::Command;

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
    assert!(
        !shown.contains("FAILED") && !shown.contains('\u{1b}'),
        "plain text where nobody looks at colours"
    );
}
