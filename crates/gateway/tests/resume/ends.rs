//! Streams of which little is left: several breaks, somebody who fails when asked to go on, nobody who can.

use serde_json::{Value, json};

use crate::case::{Case, Leg, Seam, VOICES};
use crate::check::{Read, matches};
use crate::support::{Deployment, Gateway, Response, config, deployment, sim};

const TOKENS: usize = 24;

/// A model whose deployments break after the third, sixth and ninth piece of what each says; the last one is well.
fn breaking(name: &str, times: usize) -> Vec<Deployment> {
    let mut legs: Vec<Leg> = (0..times)
        .map(|leg| Leg::Breaks(VOICES[leg], "cut", 3 * (leg + 1)))
        .collect();
    legs.push(Leg::GoesOn(VOICES[1], Seam::AsAsked));
    Case::new(name.to_owned(), TOKENS, "ascii", legs).deployments()
}

async fn asked(deployments: &[Deployment], model: &str) -> (Response, Value) {
    let sim = sim().await;
    let more = "router_settings: {cooldown_time: 0, num_retries: 0}\naudit: {mode: async}";
    let gateway = Gateway::start(&sim, &config(deployments, more)).await;
    let response = gateway.ask(model, true).await;
    let record = gateway.stop().await.records().remove(0);
    (response, record)
}

fn read(response: &Response, record: &Value) -> Read {
    let read = Read::of(response).unwrap_or_else(|why| panic!("{why}\n{}", response.text()));
    read.is_one()
        .and_then(|()| matches(&read, record))
        .unwrap_or_else(|why| panic!("{why}\n{}", response.text()));
    read
}

fn whole() -> String {
    backstop_sim::text(&format!("m+tokens={TOKENS}"))
}

#[tokio::test]
async fn a_stream_goes_on_twice_and_no_more_unless_it_may() {
    for (times, allowed, is_whole) in [(2, None, true), (3, None, false), (3, Some(3), true)] {
        let mut deployments = breaking("m", times);
        if let Some(allowed) = allowed {
            let first = deployments.remove(0);
            deployments.insert(
                0,
                first.param(&format!("mid_stream: {{max_resumes: {allowed}}}")),
            );
        }
        let (response, record) = asked(&deployments, "m").await;
        let read = read(&response, &record);
        let attempts = record["attempts"].as_array().expect("attempts");
        let next: Vec<_> = attempts.iter().map(|it| &it["next_action"]).collect();
        if is_whole {
            assert_eq!((read.text, read.error), (whole(), None), "{record}");
            assert_eq!(read.finish, ["stop"]);
            assert_eq!(attempts.len(), times + 1, "{record}");
            assert!(
                next[..times].iter().all(|next| **next == "resume"),
                "{record}"
            );
        } else {
            read.is_an_error().expect("an error");
            assert!(whole().starts_with(&read.text), "{}", read.text);
            assert_eq!(read.error.expect("an error")["code"], "upstream_error");
            assert_eq!(attempts.len(), 3, "{record}");
            let last = record["resumes"].as_array().and_then(|all| all.last());
            assert_eq!(
                last.expect("a row")["refused"],
                "it has gone on as often as it may"
            );
        }
    }
}

#[tokio::test]
async fn who_fails_before_saying_anything_is_passed_over() {
    for fault in [
        "500", "429=60", "reset", "cut=0", "error=0", "empty", "html",
    ] {
        let legs = vec![
            Leg::Breaks(VOICES[0], "cut", 5),
            Leg::Fails(VOICES[1], fault),
            Leg::GoesOn(VOICES[2], Seam::AsAsked),
        ];
        let case = Case::new("m".to_owned(), TOKENS, "ascii", legs);
        let (response, record) = asked(&case.deployments(), "m").await;
        let read = read(&response, &record);
        assert_eq!(
            (read.text, read.error),
            (whole(), None),
            "{fault}: {record}"
        );
        let went_on: Vec<_> = read.resumed.iter().map(|it| &*it.deployment).collect();
        assert_eq!(went_on, ["m/2"], "{fault}");
        let resumes = record["resumes"].as_array().map(Vec::len);
        assert_eq!(resumes, Some(1), "one break, whoever is asked: {record}");
    }
}

#[tokio::test]
async fn with_everything_else_down_the_one_that_broke_is_asked_last() {
    let legs = |first| {
        vec![
            first,
            Leg::Fails(VOICES[1], "500"),
            Leg::Fails(VOICES[2], "503"),
        ]
    };
    // It breaks again.
    let case = Case::new(
        "m".to_owned(),
        TOKENS,
        "ascii",
        legs(Leg::Breaks(VOICES[0], "cut", 5)),
    );
    let (response, record) = asked(&case.deployments(), "m").await;
    let broken = read(&response, &record);
    broken.is_an_error().expect("an error");
    assert!(whole().starts_with(&broken.text), "{}", broken.text);
    let error = broken.error.expect("an error");
    assert_eq!(error["backstop"]["request_id"], record["request_id"]);
    assert_eq!(record["outcome"], "upstream_error", "{record}");

    // It is well again.
    let model = format!("openai/gpt-4o+tokens={TOKENS}+cut=5+first=1");
    let mut deployments = case.deployments();
    deployments[0] = deployment("m", &model).id("m/0");
    let (response, record) = asked(&deployments, "m").await;
    let read = read(&response, &record);
    assert_eq!((read.text, read.error), (whole(), None), "{record}");
    let asked: Vec<_> = record["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|attempt| &attempt["deployment"])
        .collect();
    assert_eq!(asked, ["m/0", "m/1", "m/2", "m/0"]);
}

#[tokio::test]
async fn with_nobody_left_the_error_says_what_broke() {
    let legs = vec![
        Leg::Breaks(VOICES[0], "cut", 5),
        Leg::Fails(VOICES[1], "500"),
    ];
    let case = Case::new("m".to_owned(), TOKENS, "ascii", legs);
    let mut deployments = case.deployments();
    // Neither by a prompt nor otherwise.
    let first = deployments.remove(0);
    deployments.insert(0, first.param("mid_stream: {prompt: false}"));
    let (response, record) = asked(&deployments, "m").await;
    let read = read(&response, &record);
    read.is_an_error().expect("an error");
    let error = read.error.expect("an error");
    assert_eq!(error["type"], json!("server_error"));
    assert_eq!(error["code"], json!("upstream_error"));
    let last = record["resumes"].as_array().and_then(|all| all.last());
    assert!(last.expect("a row")["refused"].is_string(), "{record}");
}
