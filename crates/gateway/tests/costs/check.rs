//! What `check` and the log say of money.

use crate::books::priced;
use crate::support::{Deployment, Finished, Setup, config, deployment, sim};

async fn check(deployments: &[Deployment], more: &str) -> Finished {
    let sim = sim().await;
    let check = Setup::new(&["check", "--config", "backstop.yaml"]);
    let check = check.file("backstop.yaml", &config(deployments, more));
    let finished = check.before(&sim).run().await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    finished
}

fn line<'a>(finished: &'a Finished, of: &str) -> &'a str {
    let mut lines = finished.stdout.lines();
    lines
        .find(|line| line.contains(of))
        .unwrap_or_else(|| panic!("no {of} in\n{}", finished.stdout))
}

#[tokio::test]
async fn it_shows_windows_prices_and_budgets() {
    let deployments = [
        deployment("smart", "openai/gpt-4o").id("primary"),
        deployment("smart", "openai/house-model").id("house"),
    ];
    let settings = "
budgets:
  - {scope: provider, id: anthropic, limit_usd: 30, window: month, time_zone: Europe/Berlin}
  - {scope: user, limit_requests: 100, window: 24h, mode: soft}
  - {scope: model, id: smart, limit_tokens: 5000000, window: total, mode: shadow, name: tokens}
"
    .replace("id: anthropic", "id: openai");
    let finished = check(&deployments, &settings).await;
    assert!(line(&finished, "primary").contains("window 128000  $2.5 in, $10 out a million"));
    assert!(
        line(&finished, "house  ")
            .contains("window -  price -: refused under provider=openai/usd/month@Europe/Berlin")
    );
    let budgets = "budgets, accounts in ./backstop.db
  provider=openai/usd/month@Europe/Berlin  $30  hard
  user/requests/86400s  100 requests  soft
  tokens  5000000 tokens  shadow
";
    assert!(finished.stdout.contains(budgets), "{}", finished.stdout);
    let opened = std::fs::read_dir(finished.dir.path()).expect("a folder");
    assert_eq!(opened.count(), 1, "it opens no ledger");
}

#[tokio::test]
async fn a_store_is_named_and_its_password_is_not() {
    let deployments = [deployment("smart", "openai/gpt-4o")];
    let budgets = "budgets: [{scope: global, limit_usd: 1, window: total}]\n";
    for (store, shown) in [
        ("", "accounts in ./backstop.db"),
        (
            "store: {sqlite: /var/lib/backstop.db}",
            "accounts in /var/lib/backstop.db",
        ),
        (
            "store: {redis: 'redis://:hunter2@127.0.0.1:1'}",
            "accounts in Redis",
        ),
        (
            "store: memory",
            "accounts in memory, forgotten at every start",
        ),
    ] {
        let finished = check(&deployments, &format!("{budgets}{store}\n")).await;
        assert!(
            line(&finished, "budgets, ").ends_with(shown),
            "{}",
            finished.stdout
        );
        assert!(!finished.stdout.contains("hunter2"));
    }
    let without = check(&deployments, "").await;
    assert!(!without.stdout.contains("budgets"), "{}", without.stdout);
}

/// What is said of a deployment without a price, under each kind of budget.
#[tokio::test]
async fn a_deployment_that_no_budget_can_let_pass_is_named() {
    let deployments = [
        deployment("smart", "openai/house-model").id("house"),
        deployment("other", "openai/house-model").id("twin"),
        priced("smart", "openai/gpt-4o").id("known"),
    ];
    for (settings, said, warned) in [
        ("", "price -", &[][..]),
        (
            "budgets: [{scope: global, limit_usd: 1, window: total}]",
            "price -: refused under global/usd/total",
            &["house", "twin"],
        ),
        (
            "budgets: [{scope: key, limit_usd: 1, window: total}]",
            "price -: refused under key/usd/total",
            &["house", "twin"],
        ),
        (
            "budgets: [{scope: model, id: smart, limit_usd: 1, window: total}]",
            "price -: refused under model=smart/usd/total",
            &["house"],
        ),
        (
            "budgets: [{scope: deployment, id: twin, limit_usd: 1, window: total}]",
            "price -",
            &["twin"],
        ),
        (
            "budgets: [{scope: deployment, id: known, limit_usd: 1, window: total}]",
            "price -",
            &[],
        ),
        (
            "budgets: [{scope: global, limit_tokens: 1, window: total}]",
            "price -",
            &[],
        ),
        (
            "budgets: [{scope: global, limit_usd: 1, window: total, mode: soft}]",
            "price -: each call counts as nothing",
            &[],
        ),
        (
            "budgets: [{scope: global, limit_usd: 1, window: total}]\nunpriced_model: allow",
            "price -: each call counts as nothing",
            &[],
        ),
        (
            "budgets: [{scope: global, limit_usd: 1, window: total}]\nunpriced_model: {flat_usd: 0.01}",
            "price -: each call counts as $0.01",
            &[],
        ),
        (
            "budgets: [{scope: model, id: auto, limit_usd: 1, window: total}]\ncapabilities: {auto: {vision: other, default: other}}",
            "price -",
            &["twin"],
        ),
    ] {
        let finished = check(&deployments, &format!("{settings}\nstore: memory\n")).await;
        let shown = line(&finished, " house ");
        assert!(shown.ends_with(said), "{settings}: {shown}");
        assert!(!line(&finished, " known ").contains("price -"));
        let warnings: Vec<_> = finished
            .stdout
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .collect();
        assert_eq!(
            warnings.len(),
            warned.len(),
            "{settings}: {}",
            finished.stdout
        );
        for (warning, id) in warnings.iter().zip(warned) {
            assert!(
                warning.contains(&format!("the deployment `{id}` costs")),
                "{warning}"
            );
            assert!(warning.contains("unpriced_model"), "{warning}");
        }
    }
}

#[tokio::test]
async fn it_is_said_at_the_start_and_held_to() {
    let sim = sim().await;
    let deployments = [
        deployment("smart", "openai/house-model").id("house"),
        deployment("alone", "openai/house-model").id("alone"),
        priced("smart", "openai/gpt-4o").id("known"),
    ];
    let settings = "budgets: [{scope: global, limit_usd: 1, window: total}]\nstore: memory\n";
    let gateway = Setup::serve(&config(&deployments, settings))
        .before(&sim)
        .start()
        .await;
    gateway
        .logged(&[
            "WARN",
            "`house` costs",
            "global/usd/total",
            "unpriced_model",
        ])
        .await;
    gateway.logged(&["WARN", "`alone` costs"]).await;

    let response = gateway.ask("smart", false).await;
    assert_eq!(
        response.header("x-backstop-deployment"),
        "known",
        "{}",
        response.text()
    );
    let record = gateway.record(response.request_id()).await;
    assert_eq!(record["skipped"][0]["reason"], "budget");
    assert_eq!(record["skipped"][0]["detail"], "no price is known");
    let response = gateway.ask("alone", false).await;
    assert_eq!(
        (response.status.as_u16(), &*response.code()),
        (402, "budget_exceeded")
    );
}
