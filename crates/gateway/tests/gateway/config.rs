//! Every mistake in a configuration is one line that says where it is, before anything listens.

use tokio::net::TcpListener;

use crate::support::{Setup, config, deployment};

/// What `command` says about this configuration: one line, and exit code 1.
async fn refused(command: Setup, text: &str) -> String {
    let finished = command
        .file("backstop.yaml", text)
        .env("OPENAI_API_KEY", "sk-one")
        .run()
        .await;
    assert_eq!(
        finished.status.code(),
        Some(1),
        "{text}\n{}",
        finished.stderr
    );
    assert_eq!(finished.stdout, "", "nothing was announced");
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    finished.stderr
}

async fn assert_refused(text: &str, parts: &[&str]) {
    for command in [
        &["check", "--config", "backstop.yaml"][..],
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--config",
            "backstop.yaml",
        ],
    ] {
        let said = refused(Setup::new(command), text).await;
        for part in parts {
            assert!(
                said.contains(part),
                "{part:?} is not in:\n{said}\nabout\n{text}"
            );
        }
    }
}

const ONE: &str = "
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-4o}
    model_info: {id: primary}
";

#[tokio::test]
async fn malformed_yaml() {
    assert_refused("model_list:\n  - model_name: [smart\n", &["backstop.yaml:"]).await;
    assert_refused("", &["backstop.yaml:", "model_list"]).await;
}

#[tokio::test]
async fn an_unknown_key() {
    let text = format!("{ONE}router_settings:\n  num_retrys: 3\n");
    assert_refused(&text, &["backstop.yaml:7:3", "num_retrys", "`num_retries`"]).await;
}

#[tokio::test]
async fn an_unknown_provider() {
    let text = ONE.replace("openai/", "opneai/");
    assert_refused(&text, &["backstop.yaml:4:29", "opneai", "`openai/gpt-4o`"]).await;
}

#[tokio::test]
async fn two_deployments_with_one_id() {
    let text = format!(
        "{ONE}{}",
        ONE.replace("model_list:\n", "").trim_start_matches('\n')
    );
    assert_refused(&text, &["backstop.yaml:8:", "`primary`", "model_info.id"]).await;
}

#[tokio::test]
async fn a_fallback_that_names_nothing() {
    let text = format!("{ONE}router_settings:\n  fallbacks: [{{smart: [smarter]}}]\n");
    assert_refused(&text, &["backstop.yaml:7:", "smarter", "`smart`"]).await;
}

#[tokio::test]
async fn fallbacks_in_a_circle() {
    let two =
        format!("{ONE}  - model_name: other\n    litellm_params: {{model: openai/gpt-4.1}}\n");
    let text =
        format!("{two}router_settings:\n  fallbacks: [{{smart: [other]}}, {{other: [smart]}}]\n");
    assert_refused(&text, &["backstop.yaml:9:", "smart", "other"]).await;
}

#[tokio::test]
async fn a_missing_variable() {
    let text = ONE.replace("gpt-4o}", "gpt-4o, api_key: os.environ/NOT_SET}");
    assert_refused(&text, &["backstop.yaml:4:", "`NOT_SET`"]).await;
}

#[tokio::test]
async fn a_key_file_that_cannot_be_read() {
    let text = ONE.replace("gpt-4o}", "gpt-4o, api_key: file:/nowhere/key}");
    assert_refused(&text, &["backstop.yaml:4:", "/nowhere/key"]).await;
}

#[tokio::test]
async fn a_configuration_that_is_not_there() {
    let finished = Setup::new(&["serve", "--config", "nowhere.yaml"])
        .run()
        .await;
    assert_eq!(finished.status.code(), Some(1));
    assert!(
        finished.stderr.contains("nowhere.yaml"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = taken.local_addr().expect("bound").to_string();
    let serve = Setup::new(&["serve", "--config", "backstop.yaml", "--listen", &addr]);
    let said = refused(serve, ONE).await;
    assert!(said.contains(&addr), "{said}");
}

#[tokio::test]
async fn records_that_cannot_be_written() {
    let text = format!("{ONE}audit: {{dir: /dev/null/audit}}\n");
    let said = refused(
        Setup::new(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--config",
            "backstop.yaml",
        ]),
        &text,
    )
    .await;
    assert!(said.contains("/dev/null/audit"), "{said}");
}

#[tokio::test]
async fn other_machines_are_not_served_without_a_key() {
    let strangers = &[
        "serve",
        "--config",
        "backstop.yaml",
        "--listen",
        "0.0.0.0:0",
    ];
    let open = config(
        &[deployment("smart", "openai/gpt-4o").param("api_base: http://127.0.0.1:9/v1")],
        "",
    );
    let said = refused(Setup::new(strangers), &open).await;
    for part in ["0.0.0.0:0", "master_key", "127.0.0.1", "--insecure-no-auth"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let insecure = Setup::new(strangers)
        .argument("--insecure-no-auth")
        .file("backstop.yaml", &open);
    insecure.start().await;
    let closed = format!("{open}general_settings: {{master_key: sk-master}}\n");
    Setup::new(strangers)
        .file("backstop.yaml", &closed)
        .start()
        .await;
}
