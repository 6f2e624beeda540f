//! Each example, run as a user runs it.

use std::env;
use std::process::Command;

/// What the example prints, once it has ended well.
fn run(name: &str) -> String {
    // `cargo test` builds the examples of a package beside its tests.
    let mut path = env::current_exe().expect("a test is a program");
    path.pop();
    path.set_file_name("examples");
    path.push(format!("{name}{}", env::consts::EXE_SUFFIX));
    let output = Command::new(&path)
        .env_remove("RUST_LOG")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo test` builds it", path.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{stderr}",
        output.status
    );
    assert_eq!(stderr, "", "{name} has nothing to complain about");
    String::from_utf8(output.stdout).expect("text")
}

/// Each of `lines` stands in `printed`, in this order, perhaps with others between.
#[track_caller]
fn assert_prints(printed: &str, lines: &[&str]) {
    let mut rest = printed.lines();
    for line in lines {
        assert!(
            rest.any(|printed| printed == *line),
            "no line {line:?} where it belongs in:\n{printed}"
        );
    }
}

#[test]
fn an_axum_app_has_two_routes_with_different_stacks() {
    assert_prints(
        &run("axum"),
        &[
            "orders, as before: 200 OK",
            "wrong key: 403 Forbidden",
            "all is well: 200 OK from openai",
            "OpenAI is down: 200 OK from anthropic",
            "Anthropic too: 200 OK from bedrock",
            "the internal route: 502 Bad Gateway",
            "on record:",
            "  nobody asked []: client_error",
            r#"  web asked ["openai"]: ok"#,
            r#"  web asked ["openai", "anthropic"]: ok"#,
            r#"  web asked ["openai", "anthropic", "bedrock"]: ok"#,
        ],
    );
}

#[test]
fn a_cent_a_day_is_a_cent_a_day() {
    let printed = run("budget");
    let lines: Vec<_> = printed.lines().collect();
    let [first, second, third, fourth, growth, research] = lines[..] else {
        panic!("six lines:\n{printed}")
    };
    assert_eq!(first, "growth: a poem of 600 tokens");
    let tokens: u64 = second
        .strip_prefix("growth: a poem of ")
        .and_then(|rest| rest.strip_suffix(" tokens"))
        .and_then(|tokens| tokens.parse().ok())
        .expect(second);
    assert!((64..400).contains(&tokens), "{second}");
    assert_eq!(third, "growth: nothing before tomorrow");
    assert_eq!(fourth, "research: a poem of 600 tokens");
    // In millionths of a dollar.
    let spent = (10 + 10) * 2 + (600 + tokens) * 10;
    assert!(spent < 10_000, "less than a cent");
    let digits = format!("{spent:06}");
    let digits = digits.trim_end_matches('0');
    assert_eq!(growth, format!("growth has spent $0.{digits}"));
    assert_eq!(research, "research has spent $0.00602");
}

#[test]
fn a_chain_in_process_answers_and_leaves_a_record() {
    let printed = run("in_process");
    assert_prints(
        &printed,
        &[
            "outcome: ok",
            "  openai: server_error",
            "  anthropic: overloaded",
            "  bedrock: ok",
        ],
    );
    assert!(
        printed.starts_with("answer: A bridge is judged"),
        "{printed}"
    );
    let record = printed
        .lines()
        .last()
        .and_then(|line| line.split_once(": "))
        .expect("the record")
        .1;
    let record: serde_json::Value = serde_json::from_str(record).expect("JSON");
    assert_eq!(record["requested_model"], "default");
    assert_eq!(record["fallback_count"], 2);
}

#[test]
fn a_provider_of_ones_own_streams_and_a_local_model_stands_in() {
    let heard = "  I have no parrot, but I heard: Polly, be quiet!";
    assert_prints(
        &run("own_provider"),
        &[
            "Who is a good parrot? (streamed: false)",
            "  Who is a good parrot?",
            "Who is a good parrot? (streamed: true)",
            "  Who is a good parrot?",
            "Polly, be quiet! (streamed: false)",
            heard,
            "Polly, be quiet! (streamed: true)",
            heard,
        ],
    );
}

#[test]
fn two_regions_of_an_http_api_stand_in_for_each_other() {
    let printed = run("plain_http");
    assert_prints(
        &printed,
        &[
            "all is well",
            "  200 from east",
            "east is busy for a moment",
            "  200 from east",
            "east is silent",
            "  east failed: timed out",
            "  200 from west",
            "east is down",
            "  east failed: overloaded (status 503)",
            "  200 from west",
            "east rests after two failures",
            "  200 from west",
        ],
    );
    assert_eq!(
        printed
            .matches("east not asked: resting after failures")
            .count(),
        1,
        "{printed}"
    );
}

#[test]
fn data_stays_in_the_eu_on_one_route_of_two() {
    let why = "  virginia not asked: rule `only eu`: it processes in us-east-1, not within eu";
    assert_prints(
        &run("residency"),
        &[
            "all is well",
            "  /any: 200 OK from virginia",
            "  /eu: 200 OK from frankfurt",
            "Frankfurt is down",
            "  /any: 200 OK from virginia",
            "  /eu: 503 Service Unavailable",
            "Virginia was asked 2 times",
            "on record for /eu:",
            why,
            why,
        ],
    );
}
