use backstop_core::Ask;

use super::*;

const ALL: Modes = Modes {
    prefill: true,
    replay: true,
    prompted: true,
};

fn chat(extra: &str) -> Chat {
    let text = format!(
        r#"{{"model": "m", "messages": [{{"role": "system", "content": "be brief"}}, {{"role": "user", "content": "hi"}} ] {extra}}}"#
    );
    Chat::parse(text).expect("valid")
}

fn apply(
    chat: &Chat,
    modes: Modes,
    model: &str,
    prefill: Option<Prefill>,
) -> Result<(String, Mode), ProviderError> {
    let go_on = Continue::new("So far, so \"good\".\n", 5, "m", modes);
    let (asked, mode) = go_on.apply(chat, "openai", model, prefill, None)?;
    Ok((
        String::from_utf8(asked.payload().to_vec()).expect("UTF-8"),
        mode,
    ))
}

#[test]
fn what_is_sent_again_is_bounded() {
    let texts = |chat: &Chat| chat.prompt_size().expect("it is known").text;
    let chat = chat("");
    for delivered in ["So far, so \"good\".\n", "ä", &"многое ".repeat(500)] {
        for (modes, prefill) in [
            (ALL, Some(Prefill::default())),
            (ALL, None),
            (
                Modes {
                    prefill: false,
                    ..ALL
                },
                Some(Prefill::default()),
            ),
        ] {
            let go_on = Continue::new(delivered, 5, "m", modes);
            let (asked, _) = go_on
                .apply(&chat, "openai", "x", prefill, None)
                .expect("it can");
            assert!(
                texts(&asked) <= texts(&chat) + go_on.resent(),
                "{delivered}"
            );
        }
    }
}

#[test]
fn prefill_comes_first() {
    let (asked, mode) = apply(
        &chat(r#", "max_tokens": 20"#),
        ALL,
        "x",
        Some(Prefill::default()),
    )
    .expect("it can");
    assert_eq!(mode, Mode::Prefill { echoes: false });
    assert_eq!(
        asked,
        r#"{"model": "m", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},{"role":"assistant","content":"So far, so \"good\"."}] , "max_tokens": 15}"#
    );
    let marked = Prefill {
        echoes: true,
        marks: r#","prefix":true"#,
        ..Prefill::default()
    };
    let (asked, _) = apply(&chat(""), ALL, "x", Some(marked)).expect("it can");
    assert!(
        asked.contains(r#""content":"So far, so \"good\".","prefix":true}]"#),
        "{asked}"
    );
}

#[test]
fn a_prefill_may_need_members_of_the_request() {
    let prefill = Prefill {
        members: &[("continue_final_message", "true"), ("echo", "false")],
        ..Prefill::default()
    };
    let asking = chat(r#", "echo": true"#);
    let (asked, _) = apply(&asking, ALL, "x", Some(prefill)).expect("it can");
    assert!(
        asked.ends_with(r#"}] , "echo": false,"continue_final_message":true}"#),
        "{asked}"
    );
}

#[test]
fn the_bound_leaves_room_for_what_is_said_twice() {
    let delivered = "word ".repeat(100);
    let bounded = chat(r#", "max_completion_tokens": 110"#);
    let left = |prefill: Option<Prefill>| {
        let go_on = Continue::new(&*delivered, 100, "m", ALL);
        let (asked, mode) = go_on
            .apply(&bounded, "openai", "m", prefill, None)
            .expect("it can");
        let bound = asked.member("max_completion_tokens").expect("a bound");
        (mode.as_str(), bound.parse::<u64>().expect("a number"))
    };
    assert_eq!(left(Some(Prefill::default())), ("prefill", 10));
    // The 159 characters of the anchor are 32 words.
    assert_eq!(left(None), ("prompted", 10 + 32));
}

#[test]
fn a_refused_prefill_leaves_the_other_ways() {
    let refusal = |status: u16, message: &str| {
        let failure = Failure::new(FailureKind::BadRequest)
            .with_status(http::StatusCode::from_u16(status).expect("a status"));
        ProviderError::new("p", failure).with_message(message)
    };
    let go_on = |modes| {
        let error = refusal(400, "no prefill here");
        Continue::new("So far", 2, "m", modes).without_prefill(&chat(""), "m", error, None)
    };
    assert!(matches!(go_on(ALL), Ok((_, Mode::Prompted))));
    let none = Modes {
        prompted: false,
        ..ALL
    };
    let error = go_on(none).expect_err("no other way");
    let kind = error.failure().kind();
    assert_eq!(kind, FailureKind::Ineligible(Ineligible::Capability));
    assert_eq!(
        error.failure().reach(),
        backstop_core::Reach::Sent,
        "it was asked"
    );
    assert_eq!(error.message(), Some("no prefill here"));
}

#[test]
fn then_replay_where_the_answer_is_determined() {
    let determined = chat(r#", "temperature": 0"#);
    let (asked, mode) = apply(&determined, ALL, "m", None).expect("it can");
    assert_eq!(mode, Mode::Replay);
    assert_eq!(asked.as_bytes(), &determined.payload()[..]);
    assert_eq!(
        apply(&determined, ALL, "another", None).expect("it can").1,
        Mode::Prompted
    );
    assert_eq!(
        apply(&chat(""), ALL, "m", None).expect("it can").1,
        Mode::Prompted
    );
}

#[test]
fn then_a_user_turn_that_quotes_the_end() {
    let (asked, _) = apply(&chat(""), ALL, "m", None).expect("it can");
    let asked: serde_json::Value = serde_json::from_str(&asked).expect("JSON");
    let messages = asked["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), 4);
    assert_eq!(
        messages[0]["content"], "be brief",
        "system prompts are never touched"
    );
    assert_eq!(messages[2]["role"], "assistant");
    assert!(
        messages[3]["content"]
            .as_str()
            .is_some_and(|text| text.contains("So far, so \"good\"."))
    );
}

#[test]
fn what_is_too_short_to_be_quoted_is_asked_for_again() {
    let asking = chat(r#", "max_tokens": 20"#);
    let go_on = Continue::new("Eleven char", 3, "m", ALL);
    let (asked, mode) = go_on
        .apply(&asking, "openai", "m", None, None)
        .expect("it can");
    assert_eq!(mode, Mode::Prompted);
    assert_eq!(asked.payload(), asking.payload());
}

#[test]
fn no_way_is_a_refusal() {
    let none = Modes {
        prefill: true,
        replay: true,
        prompted: false,
    };
    assert!(apply(&chat(""), none, "m", None).is_err());
}

#[test]
fn the_anchor_is_the_end_without_its_white_space() {
    assert_eq!(anchor("short \n"), "short");
    let long = "ü".repeat(500);
    assert_eq!(anchor(&long).chars().count(), QUOTED);
}
