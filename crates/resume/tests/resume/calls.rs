//! Tool calls: each whole exactly once, or an error.

use backstop_chat::emit::Writer;
use backstop_chat::{Chunk, Finish};

use crate::support::{Got, all, recite};

const ONE: &str = r#"{"city":"Köln","n":[1,{}]}"#;
const TWO: &str = r#"{"q":"a \"b\" }"}"#;

type Shape = fn(&Writer, &str) -> Vec<Chunk>;

/// Two calls, as OpenAI streams them: nothing says where one ends.
fn two(writer: &Writer, text: &str) -> Vec<Chunk> {
    let mut chunks = vec![writer.role()];
    for (at, _) in text.char_indices().step_by(4) {
        let end = text
            .char_indices()
            .map(|(at, _)| at)
            .find(|end| *end >= at + 4);
        chunks.push(writer.text(&text[at..end.unwrap_or(text.len())]));
    }
    for (index, arguments) in [(0, ONE), (1, TWO)] {
        chunks.push(writer.tool_call(index, &format!("call_{index}"), "f"));
        let chars: Vec<char> = arguments.chars().collect();
        for piece in chars.chunks(3) {
            let piece: String = piece.iter().collect();
            chunks.push(writer.tool_arguments(index, &piece));
        }
    }
    chunks
}

/// The same as Anthropic's decoder makes it: a silent chunk wherever a block begins or ends.
fn blocks(writer: &Writer, text: &str) -> Vec<Chunk> {
    let silent = || Chunk::silent(backstop_chat::Meta::default());
    let mut chunks = Vec::new();
    for chunk in two(writer, text) {
        let begins = chunk
            .calls()
            .is_some_and(|calls| calls.iter().any(|it| it.id.is_some()));
        if begins {
            chunks.push(silent());
        }
        chunks.push(chunk);
    }
    chunks.push(silent());
    chunks
}

fn whole(mut chunks: Vec<Chunk>, writer: &Writer) -> Vec<Option<Chunk>> {
    chunks.push(writer.finish(Finish::ToolCalls, true));
    chunks.into_iter().map(Some).collect()
}

fn assert_both(got: &Got, why: &str) {
    assert_eq!(got.finishes, ["tool_calls"], "{why}");
    let arguments: Vec<_> = got.calls.iter().map(|call| &*call.1).collect();
    assert_eq!(arguments, [ONE, TWO], "{why}");
}

/// Whoever got an error has whole calls, or none.
fn assert_error(got: &Got, why: &str) {
    assert!(got.error.is_some() && got.finishes.is_empty(), "{why}");
    let arguments: Vec<_> = got.calls.iter().map(|call| &*call.1).collect();
    assert!([ONE, TWO].starts_with(&arguments), "{why}: {arguments:?}");
}

/// The first chunks of an answer, and a break.
fn broken(
    shape: Shape,
    text: &'static str,
    after: usize,
) -> impl Fn(&Writer) -> Vec<Option<Chunk>> {
    move |writer| {
        let chunks = shape(writer, text).into_iter().take(after).map(Some);
        chunks.chain([None]).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn each_is_whole_exactly_once_wherever_it_breaks() {
    const TEXT: &str = "Let me look that up for you. ";
    let writer = Writer::new("id", "m", 0, false);
    let again = |writer: &Writer| whole(two(writer, ""), writer);
    let mut outcomes = [0, 0];
    for after in 1..=blocks(&writer, TEXT).len() {
        for (shape, text) in [
            (two as Shape, ""),
            (blocks, ""),
            (two, TEXT),
            (blocks, TEXT),
        ] {
            let first = broken(shape, text, after);
            // By prefill the calls follow where all of the text has been delivered, and only there.
            let got = recite(all().hold_tool_calls(true), "", vec![&first, &again]).await;
            let why = format!("after {after}, {text:?}: {}", got.bytes);
            if got.error.is_some() {
                assert_error(&got, &why);
                assert_eq!(
                    got.calls.len(),
                    1,
                    "only then it cannot be asked again: {why}"
                );
                outcomes[1] += 1;
            } else {
                assert_both(&got, &why);
                assert!(text.starts_with(&got.text), "{why}");
                outcomes[0] += 1;
            }
            let alone = recite(all().hold_tool_calls(true), "", vec![&first]).await;
            if alone.error.is_some() {
                assert_error(&alone, &why);
            } else {
                let arguments: Vec<_> = alone.calls.iter().map(|call| &*call.1).collect();
                assert!([ONE, TWO].starts_with(&arguments), "{why}");
                assert!(!arguments.is_empty(), "{why}");
            }
        }
    }
    assert!(outcomes[0] > 20 && outcomes[1] > 4, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_lost_only_its_end_is_completed_where_nobody_else_answers() {
    let first = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.tool_call(0, "a", "f")),
            Some(writer.tool_arguments(0, "{\"x\":1}")),
            None,
        ]
    };
    let got = recite(all().hold_tool_calls(true), "", vec![&first]).await;
    assert!(got.error.is_none());
    assert_eq!(got.calls, [("a".to_owned(), "{\"x\":1}".to_owned())]);
    assert_eq!(got.finishes, ["tool_calls"]);
    assert!(
        got.comments[0].starts_with("backstop completed finish=tool_calls"),
        "{:?}",
        got.comments
    );
    let record = got.trail.snapshot();
    assert_eq!(record.outcome, Some(backstop_core::Outcome::Ok));

    let again = |writer: &Writer| {
        let call = [
            writer.tool_call(0, "b", "f"),
            writer.tool_arguments(0, "{\"x\":2}"),
        ];
        whole(call.to_vec(), writer)
    };
    let got = recite(all().hold_tool_calls(true), "", vec![&first, &again]).await;
    assert_eq!(got.calls[0].0, "b", "another may have had more to call");
    let alone = r#", "parallel_tool_calls": false"#;
    let got = recite(all().hold_tool_calls(true), alone, vec![&first, &again]).await;
    assert_eq!(got.calls[0].0, "a", "there can be no other");
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_cut_are_never_handed_on() {
    for arguments in ["", "{", "{\"x\":1", "[]", "1"] {
        let first = move |writer: &Writer| {
            vec![
                Some(writer.role()),
                Some(writer.tool_call(0, "a", "f")),
                Some(writer.tool_arguments(0, arguments)),
                None,
            ]
        };
        let got = recite(all().hold_tool_calls(true), "", vec![&first]).await;
        assert!(got.error.is_some() && got.calls.is_empty(), "{arguments:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_call_keeps_its_place() {
    let leg = |writer: &Writer| {
        let chunks = vec![
            writer.role(),
            writer.text("One. "),
            writer.tool_call(0, "a", "f"),
            writer.tool_arguments(0, "{"),
            writer.text("Two. "),
            writer.tool_arguments(0, "}"),
            writer.text("Three."),
        ];
        whole(chunks, writer)
    };
    for hold in [false, true] {
        let got = recite(all().hold_tool_calls(hold), "", vec![&leg]).await;
        assert_eq!(got.text, "One. Two. Three.");
        let order: Vec<_> = ["One.", "\"a\"", "Two.", "\"}\"", "Three."]
            .iter()
            .map(|it| got.bytes.find(it).expect("it is there"))
            .collect();
        assert!(order.is_sorted(), "{}", got.bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_not_held_cannot_be_taken_back() {
    let first = |writer: &Writer| {
        vec![
            Some(writer.role()),
            Some(writer.tool_call(0, "a", "f")),
            None,
        ]
    };
    let got = recite(all(), "", vec![&first, &first]).await;
    assert!(got.error.is_some() && got.calls.len() == 1);
    assert_eq!(
        got.refused().as_deref(),
        Some("a tool call has been delivered in part")
    );
}

#[tokio::test(start_paused = true)]
async fn an_endless_call_is_not_held_for_ever() {
    let first = |writer: &Writer| {
        let mut chunks = vec![Some(writer.role()), Some(writer.tool_call(0, "a", "f"))];
        let piece = "x".repeat(64 * 1024);
        chunks.extend((0..20).map(|_| Some(writer.tool_arguments(0, &piece))));
        chunks.push(None);
        chunks
    };
    let got = recite(all().hold_tool_calls(true), "", vec![&first, &first]).await;
    assert!(got.error.is_some() && got.calls[0].1.len() > 1024 * 1024);
}
