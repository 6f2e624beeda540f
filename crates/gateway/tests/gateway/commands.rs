//! What is printed, and how commands end.

use http::StatusCode;

use crate::support::{Gateway, Setup, config, deployment, get, sim};

#[tokio::test]
async fn one_line_says_where_it_listens() {
    let sim = sim().await;
    let gateway = Gateway::start(&sim, &config(&[deployment("smart", "openai/gpt-4o")], "")).await;
    let addr = gateway.addr();
    let finished = gateway.stop().await;
    assert_eq!(finished.stdout, format!("listening on http://{addr}"));
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_2() {
    for arguments in [
        &[][..],
        &["sevre"],
        &["serve", "--colour"],
        &["serve", "--log-format", "xml"],
    ] {
        let finished = Setup::new(arguments).run().await;
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}");
        assert!(
            finished.stderr.contains("--help") || finished.stderr.contains("Usage"),
            "{}",
            finished.stderr
        );
    }
}

#[tokio::test]
async fn without_a_configuration_the_providers_of_the_environment_serve() {
    let finished = Setup::new(&["serve", "--listen", "127.0.0.1:0"])
        .run()
        .await;
    assert_eq!(finished.status.code(), Some(1));
    for part in [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "backstop demo",
    ] {
        assert!(
            finished.stderr.contains(part),
            "{part}: {}",
            finished.stderr
        );
    }

    let sim = sim().await;
    for (key, base, path) in [
        ("OPENAI_API_KEY", "OPENAI_BASE_URL", "/openai/v1"),
        ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "/anthropic"),
    ] {
        let gateway = Setup::new(&["serve", "--listen", "127.0.0.1:0"])
            .env(key, "sk-one")
            .env(base, &format!("{}{path}", sim.url()))
            .start()
            .await;
        assert_eq!(
            gateway.send(get("/v1/models/default")).await.status,
            StatusCode::OK
        );
        assert_eq!(gateway.ask("default", false).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn check_prints_each_chain_and_no_secret() {
    let deployments = [
        deployment("smart", "openai/gpt-4o")
            .id("primary")
            .param("timeout: 20"),
        deployment("smart", "bedrock/us.anthropic.claude-sonnet-4-6"),
        deployment("other", "anthropic/claude-sonnet-4-6"),
    ];
    let sim = sim().await;
    let text = config(&deployments, "general_settings: {master_key: sk-master}");
    let check = Setup::new(&["check", "--config", "backstop.yaml"]).file("backstop.yaml", &text);
    let finished = check.before(&sim).run().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    for part in [
        "smart",
        "primary",
        "timeout 20s",
        "region us  ",
        "other",
        "worst case",
        "ok: 2 models",
    ] {
        assert!(
            finished.stdout.contains(part),
            "{part}:\n{}",
            finished.stdout
        );
    }
    for secret in [
        "sk-master",
        "sk-openai",
        "sk-anthropic",
        "AKIASIMULATED",
        "simulated",
    ] {
        assert!(
            !finished.stdout.contains(secret),
            "{secret}:\n{}",
            finished.stdout
        );
    }
}

#[tokio::test]
async fn sim_serves_the_simulated_providers() {
    let sim = Setup::new(&["sim", "--listen", "127.0.0.1:0"])
        .announced("listening on http://")
        .await;
    assert_eq!(
        sim.send(get("/_sim/requests")).await.json(),
        serde_json::json!([])
    );
    assert_eq!(sim.stop().await.status.code(), Some(0));
}

#[tokio::test]
async fn logs_are_json_for_machines() {
    let sim = sim().await;
    let setup =
        Setup::serve(&config(&[deployment("down", "openai/gpt-4o+429=30")], "")).before(&sim);
    let gateway = setup
        .argument("--log-format")
        .argument("json")
        .start()
        .await;
    gateway.ask("down", false).await;
    let line = gateway.logged(&["circuit opened"]).await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["deployment"], "openai/gpt-4o+429=30");
    assert_eq!(line["kind"], "rate_limit");
    assert!(line["until"].is_string(), "{line}");
}

#[tokio::test]
async fn requests_that_nobody_could_serve_are_told_of_and_not_each() {
    let sim = sim().await;
    let deployments = [
        deployment("down", "openai/gpt-4o+500"),
        deployment("down", "anthropic/claude-sonnet-4-6+529"),
        deployment("alone", "openai/gpt-4o+hugeerror"),
        deployment("picky", "openai/gpt-4o+400"),
    ];
    let gateway = Gateway::start(&sim, &config(&deployments, "")).await;
    for _ in 0..3 {
        assert_eq!(gateway.ask("down", false).await.status, 503);
    }
    assert_eq!(gateway.ask("alone", false).await.status, 502);
    assert_eq!(gateway.ask("picky", false).await.status, 400);
    let finished = gateway.stop().await;
    let failing = |model: &str| {
        let lines = finished.stderr.lines();
        let said = lines.filter(|line| line.contains("ERROR") && line.contains("requests fail"));
        said.filter(|line| line.contains(&format!("model=\"{model}\"")))
            .count()
    };
    assert_eq!(
        ["down", "alone", "picky"].map(failing),
        [1, 1, 0],
        "{}",
        finished.stderr
    );
}
