//! Answers that are not continued, and what is said of it.

use backstop_chat::emit::Writer;
use backstop_chat::{Chunk, Finish, Meta};
use backstop_core::FailureKind;

use crate::support::{Leg, TEXT, WHOLE, all, ask, breaks, recite};

const JSON: &str = r#", "response_format": {"type": "json_object"}"#;

#[tokio::test(start_paused = true)]
async fn what_is_not_plain_text_is_refused_and_the_record_says_why() {
    for (extra, why) in [
        (r#", "n": 2"#, "it has several choices"),
        (
            JSON,
            "it is a JSON document, of which no other model continues a part",
        ),
        (
            r#", "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}"#,
            "it is a JSON document, of which no other model continues a part",
        ),
        (r#", "logprobs": true"#, "it has log probabilities"),
    ] {
        let got = ask(all(), extra, [breaks(5), WHOLE]).await;
        got.assert_broken(TEXT, extra);
        assert_eq!(got.refused().as_deref(), Some(why));
        assert_eq!(got.trail.snapshot().resumes[0].delivered, 35);
        assert_eq!(got.kind(), Some(FailureKind::Network));
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_of_which_nothing_was_delivered_is_asked_for_again() {
    let document = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.text("{\"x\":")),
            Some(writer.text("1}")),
            Some(writer.finish(Finish::Stop, true)),
        ]
    };
    let nothing = |writer: &Writer| vec![Some(writer.role()), Some(writer.reasoning("hm")), None];
    let got = recite(all(), JSON, vec![&nothing, &document]).await;
    assert!(got.error.is_none());
    assert_eq!((&*got.text, got.roles), ("{\"x\":1}", 1));
    assert_eq!(got.finishes, ["stop"]);
    let some = |writer: &Writer| vec![Some(writer.role()), Some(writer.text("{")), None];
    let got = recite(all(), JSON, vec![&some, &document]).await;
    assert!(got.error.is_some());
    assert_eq!(got.text, "{", "never two halves of different documents");
    // With several choices nobody can say whose beginning was delivered.
    let got = recite(all(), r#", "n": 2"#, vec![&nothing, &document]).await;
    assert!(got.error.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_stopped_stays_stopped() {
    let filtered = Leg {
        breaks: Some((5, FailureKind::ContentFilter)),
        ..WHOLE
    };
    let got = ask(all(), "", [filtered.clone(), WHOLE]).await;
    got.assert_broken(TEXT, "a filter stopped it");
    assert_eq!(got.kind(), Some(FailureKind::ContentFilter));
    assert_eq!(
        got.refused().as_deref(),
        Some("a content filter stopped it")
    );
    let got = ask(all(), "", [breaks(5), filtered, WHOLE]).await;
    got.assert_broken(TEXT, "the second part, too");
    let verdict = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.text("So")),
            Some(writer.finish(Finish::ContentFilter, true)),
        ]
    };
    let got = recite(all(), "", vec![&verdict, &verdict]).await;
    assert_eq!(
        got.finishes,
        ["content_filter"],
        "the provider's own verdict"
    );
    assert!(got.trail.snapshot().resumes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn text_that_cannot_be_read_is_never_left_out() {
    let begins = |writer: &Writer| vec![Some(writer.role()), Some(writer.text("So ")), None];
    // As Mistral has it, and as half of a character in UTF-16.
    for content in [r#"[{"type":"text","text":"it "}]"#, r#""\ud83d""#] {
        let odd = move |writer: &Writer| {
            let mut meta = Meta::default();
            meta.text = true;
            let choices = format!(r#"[{{"index":0,"delta":{{"content":{content}}}}}]"#);
            vec![
                Some(writer.choices(&choices, meta)),
                Some(writer.text("ends.")),
                Some(writer.finish(Finish::Stop, true)),
            ]
        };
        let got = recite(all(), "", vec![&begins, &odd]).await;
        got.assert_broken("So it ends.", content);
        let resumes = got.trail.snapshot().resumes;
        let refused = resumes[0].refused.as_deref();
        assert_eq!(refused, Some("its text could not be read"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_named_by_what_says_something() {
    let nameless = |writer: &Writer| {
        let json = br#"{"id":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}"#;
        vec![
            Some(Chunk::event_of(json, Meta::default())),
            Some(writer.role()),
            Some(writer.text("So ")),
            None,
        ]
    };
    let rest = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.text("it ends.")),
            Some(writer.finish(Finish::Stop, true)),
        ]
    };
    let got = recite(all(), "", vec![&nameless, &rest]).await;
    assert_eq!(got.text, "So it ends.");
    assert_eq!(got.ids, ["", "id0"]);
}

#[tokio::test(start_paused = true)]
async fn reasoning_is_not_shown_again() {
    let second = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.reasoning("aha")),
            Some(writer.text("Yes.")),
            Some(writer.finish(Finish::Stop, true)),
        ]
    };
    let shown = |writer: &Writer| vec![Some(writer.role()), Some(writer.reasoning("hm")), None];
    let got = recite(all(), "", vec![&shown, &second]).await;
    assert!(got.error.is_none() && got.text == "Yes.");
    assert!(
        got.bytes.contains("hm") && !got.bytes.contains("aha"),
        "{}",
        got.bytes
    );
    assert_eq!((&*got.ids, got.roles), (&["id0".to_owned()][..], 1));
    let said = |writer: &Writer| vec![Some(writer.role()), Some(writer.text("Well, yes. ")), None];
    let got = recite(all(), "", vec![&said, &second]).await;
    assert_eq!(got.text, "Well, yes. Yes.");
    assert!(!got.bytes.contains("aha"), "reasoning stands before text");
    let nothing = |writer: &Writer| vec![Some(writer.role()), None];
    let got = recite(all(), "", vec![&nothing, &second]).await;
    assert!(got.bytes.contains("aha"), "nothing was shown before");
}

#[tokio::test(start_paused = true)]
async fn refusals_and_annotations_are_not_continued() {
    let said = |writer: &Writer| {
        let mut meta = Meta::default();
        meta.refusal = true;
        let refusal = writer.choices(r#"[{"index":0,"delta":{"refusal":"No."}}]"#, meta);
        vec![Some(writer.role()), Some(refusal), None]
    };
    let got = recite(all(), "", vec![&said, &said]).await;
    assert_eq!(
        got.refused().as_deref(),
        Some("a refusal has been delivered")
    );
    let said = |writer: &Writer| {
        let mut meta = Meta::default();
        meta.text = true;
        let text = writer.choices(
            r#"[{"index":0,"delta":{"content":"See","annotations":[{"type":"url_citation"}]}}]"#,
            meta,
        );
        vec![Some(writer.role()), Some(text), None]
    };
    let got = recite(all(), "", vec![&said, &said]).await;
    assert_eq!(
        got.refused().as_deref(),
        Some("annotations have been delivered")
    );
}

#[tokio::test(start_paused = true)]
async fn servers_that_say_who_speaks_in_each_chunk_lose_nothing() {
    let first = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.text("One, two, three")),
            None,
        ]
    };
    let second = |writer: &Writer| {
        let chunk = |delta: &str, finish: &str, meta| {
            let delta = format!(r#"{{"role":"assistant",{delta}}}"#);
            Some(writer.choices(
                &format!(r#"[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]"#),
                meta,
            ))
        };
        let text = |terminal| {
            let mut meta = Meta::default();
            meta.text = true;
            meta.terminal = terminal;
            meta.finish = terminal.then_some(Finish::Stop);
            meta
        };
        vec![
            chunk(r#""content":", four""#, "null", text(false)),
            chunk(r#""content":", five""#, "null", text(false)),
            chunk(r#""content":".""#, "\"stop\"", text(true)),
        ]
    };
    let got = recite(all(), "", vec![&first, &second]).await;
    got.assert_whole("One, two, three, four, five.", "each chunk has a role");
    let second = |writer: &Writer| {
        let mut meta = Meta::default();
        meta.text = true;
        meta.terminal = true;
        meta.finish = Some(Finish::Stop);
        let all = r#"[{"index":0,"delta":{"content":", four."},"finish_reason":"stop"}]"#;
        vec![Some(writer.choices(all, meta))]
    };
    let got = recite(all(), "", vec![&first, &second]).await;
    got.assert_whole("One, two, three, four.", "text and end in one chunk");
}

#[tokio::test(start_paused = true)]
async fn a_text_without_end_is_not_kept_for_ever() {
    let endless = |writer: &Writer| {
        let piece = "word ".repeat(16 * 1024);
        let mut chunks: Vec<_> = (0..20).map(|_| Some(writer.text(&piece))).collect();
        chunks.push(None);
        chunks
    };
    let got = recite(all(), "", vec![&endless, &endless]).await;
    assert!(got.error.is_some() && got.text.len() > 1024 * 1024);
    assert_eq!(
        got.refused().as_deref(),
        Some("its text is too long to be kept")
    );
}

#[tokio::test(start_paused = true)]
async fn white_space_alone_is_not_said_twice() {
    let first = |writer: &Writer| vec![Some(writer.role()), Some(writer.text("\n\n")), None];
    let second = |writer: &Writer| {
        vec![
            Some(writer.text("\n")),
            Some(writer.text("\nYes.")),
            Some(writer.finish(Finish::Stop, true)),
        ]
    };
    let got = recite(all(), "", vec![&first, &second]).await;
    got.assert_whole("\n\nYes.", "white space");
    assert_eq!(
        got.comments,
        ["backstop resumed mode=replay deployment=- delivered=2"]
    );
}
