//! A deployment that is over its ceiling is passed over; where all of them are, the caller learns when that ends.

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use crate::support::{Deployment, Gateway, Setup, config, deployment, sim};
use crate::{calls, priced, question, room_for};

fn pair() -> [Deployment; 2] {
    [
        priced("smart", "openai/gpt-4o").id("primary"),
        priced("smart", "anthropic/claude-sonnet-4-6").id("second"),
    ]
}

#[tokio::test]
async fn the_next_one_answers_and_the_record_says_why() {
    for (scope, id) in [("deployment", "primary"), ("provider", "openai")] {
        for limit in [
            "limit_requests: 1".to_owned(),
            "limit_tokens: 150".to_owned(),
            format!("limit_usd: {}", room_for(1)),
        ] {
            let budget = format!("{{scope: {scope}, id: {id}, {limit}, window: 24h, name: tight}}");
            let sim = sim().await;
            let more = format!("budgets: [{budget}]\nstore: memory");
            let gateway = Gateway::start(&sim, &config(&pair(), &more)).await;
            let first = gateway.send(question("smart", false)).await;
            assert_eq!(first.header("x-backstop-deployment"), "primary", "{budget}");
            for stream in [false, true] {
                let response = gateway.send(question("smart", stream)).await;
                assert_eq!(response.status, 200, "{}", response.text());
                assert_eq!(response.header("x-backstop-deployment"), "second");
                assert_eq!(response.header("x-backstop-fallbacks"), "1");
                let record = gateway.record(response.request_id()).await;
                let skipped = &record["skipped"][0];
                assert_eq!(skipped["deployment"], "primary");
                assert_eq!(skipped["reason"], "budget");
                assert_eq!(skipped["detail"], "tight");
                assert!(skipped["until"].is_string(), "{skipped}");
                assert_eq!(record["budget"][0]["budget"], "tight");
                assert_eq!(record["budget"][0]["id"], id);
                assert_eq!(record["budget"][0]["effect"], "refused");
                assert_eq!(record["attempt_count"], 1);
            }
            assert_eq!(calls(&sim, "gpt-4o"), 1, "{budget}");
            // One line, however often it is refused.
            let log = gateway.stop().await.stderr;
            assert_eq!(log.matches("budget exceeded").count(), 1, "{log}");
        }
    }
}

#[tokio::test]
async fn a_models_ceiling_holds_for_the_name_that_is_asked_for() {
    let sim = sim().await;
    let mut deployments = pair().to_vec();
    deployments.push(priced("backup", "openai/gpt-4.1"));
    let more = "router_settings: {default_fallbacks: [backup]}
budgets: [{scope: model, id: smart, limit_requests: 1, window: total}]
store: memory";
    let gateway = Gateway::start(&sim, &config(&deployments, more)).await;
    assert_eq!(gateway.send(question("smart", false)).await.status, 200);
    let refused = gateway.send(question("smart", false)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (402, "budget_exceeded".to_owned())
    );
    assert_eq!(gateway.send(question("backup", false)).await.status, 200);
    assert_eq!(sim.journal().entries().len(), 2);
}

#[tokio::test]
async fn when_all_are_over_the_caller_learns_until_when() {
    let sim = sim().await;
    let berlin = TimeZone::get("Europe/Berlin").expect("it is known");
    for deployments in [&pair()[..], &pair()[..1]] {
        let more = "budgets: [{scope: global, limit_requests: 1, window: day, time_zone: Europe/Berlin, name: secret-name}]
store: memory";
        let gateway = Gateway::start(&sim, &config(deployments, more)).await;
        // At midnight the day is another one, and there is room again.
        let (now, refused) = loop {
            let now = Timestamp::now().to_zoned(berlin.clone());
            gateway.send(question("smart", false)).await;
            let refused = gateway.send(question("smart", false)).await;
            if Timestamp::now().to_zoned(berlin.clone()).date() == now.date() {
                break (now, refused);
            }
        };
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (402, "budget_exceeded".to_owned())
        );
        let midnight = now
            .checked_add(1.day())
            .and_then(|tomorrow| tomorrow.start_of_day())
            .expect("there is one");
        let left = midnight.timestamp().as_second() - Timestamp::now().as_second();
        let told: i64 = refused.header("retry-after").parse().expect("seconds");
        assert!((left..=left + 30).contains(&told), "{told} for {left}");
        let error = &refused.json()["error"];
        assert_eq!(error["type"], "insufficient_quota");
        assert_eq!(error["backstop"]["retryable"], true);
        let message = error["message"].as_str().expect("text");
        let written = midnight.with_time_zone(TimeZone::UTC);
        let written = written.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        assert!(message.contains(&written), "{written}: {message}");
        // Who spends what is not the caller's business.
        assert!(!refused.text().contains("secret-name"));
        let record = gateway.record(refused.request_id()).await;
        assert_eq!(record["outcome"], "rejected_budget");
        assert_eq!(record["http_status"], 402);
        assert_eq!(record["attempt_count"], 0);
        assert_eq!(record["budget"][0]["budget"], "secret-name");
    }
    assert_eq!(
        sim.journal().entries().len(),
        2,
        "who is refused costs no call"
    );
}

#[tokio::test]
async fn no_time_ends_a_total() {
    let sim = sim().await;
    let more = "budgets: [{scope: global, limit_requests: 0, window: total}]\nstore: memory";
    let gateway = Gateway::start(&sim, &config(&pair(), more)).await;
    let refused = gateway.send(question("smart", true)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (402, "budget_exceeded".to_owned())
    );
    assert_eq!(refused.header("retry-after"), "");
    assert_eq!(refused.header("x-should-retry"), "false");
}

#[tokio::test]
async fn a_model_without_a_price_is_served_as_the_configuration_says() {
    let sim = sim().await;
    let homemade = [deployment("own", "openai/homemade").id("own")];
    let budget =
        "budgets: [{scope: global, limit_usd: 0.025, window: total, name: dollars}]\nstore: memory";
    for (unpriced, answered, spent) in [
        ("", 0, 0),
        ("unpriced_model: deny", 0, 0),
        ("unpriced_model: {flat_usd: 0.01}", 2, 20_000_000),
        ("unpriced_model: allow", 4, 0),
    ] {
        let text = config(&homemade, &format!("{budget}\n{unpriced}"));
        let gateway = Setup::serve(&text).before(&sim).start().await;
        sim.journal().clear();
        for turn in 0..4 {
            let response = gateway.send(question("own", false)).await;
            if turn < answered {
                assert_eq!(response.status, 200, "{}", response.text());
            } else {
                assert_eq!(response.code(), "budget_exceeded", "{unpriced}");
                let record = gateway.record(response.request_id()).await;
                let why = if answered == 0 {
                    "no price is known"
                } else {
                    "dollars"
                };
                assert_eq!(
                    record["detail"]
                        .as_str()
                        .or(record["skipped"][0]["detail"].as_str()),
                    Some(why),
                    "{record}"
                );
            }
        }
        assert_eq!(sim.journal().entries().len(), answered, "{unpriced}");
        assert_eq!(gateway.account("dollars").await.spent, spent);
    }
}
