use super::*;
use crate::{anthropic::Anthropic, bedrock::Bedrock, openai::OpenAi};

/// A start, three chunks, an end.
fn steps<A: Api>(faults: &str) -> Vec<String> {
    let frame = |text: &'static str, content| Frame {
        bytes: Bytes::from_static(text.as_bytes()),
        content,
    };
    let frames = vec![
        frame("data: start", false),
        frame("data: one", true),
        frame("data: two", true),
        frame("data: three", true),
        frame("data: end", false),
    ];
    let (_, plan) = Plan::of(&format!("m+{faults}")).unwrap();
    let name = |step| match step {
        Step::Send(bytes) => String::from_utf8_lossy(&bytes).replace("data: ", ""),
        Step::Wait(duration) => format!("{duration:?}"),
        other => format!("{other:?}"),
    };
    streamed::<A>(&plan, "m", frames)
        .into_iter()
        .map(name)
        .collect()
}

#[test]
fn waits_come_before_each_chunk() {
    assert_eq!(
        steps::<OpenAi>("slow=5+ttft=20"),
        ["start", "25ms", "one", "5ms", "two", "5ms", "three", "end"]
    );
}

#[test]
fn a_wait_is_filled_with_keep_alives() {
    assert_eq!(
        steps::<OpenAi>("ttft=25+ping=10")[..6],
        [
            "start",
            "10ms",
            ": keep-alive\n\n",
            "10ms",
            ": keep-alive\n\n",
            "5ms"
        ]
    );
    assert!(steps::<Anthropic>("stall=0+ping=10")[1].contains("event: ping"));
}

#[test]
fn a_break_comes_after_so_many_chunks_and_before_the_end() {
    for (after, sent) in [(0, 1), (1, 2), (2, 3), (3, 4), (9, 4)] {
        assert_eq!(
            steps::<OpenAi>(&format!("eof={after}")).len(),
            sent,
            "{after}"
        );
    }
    assert_eq!(steps::<OpenAi>("cut=1"), ["start", "one", "Reset"]);
    assert_eq!(steps::<OpenAi>("garbage=1")[..2], ["start", "one"]);
    assert_eq!(
        steps::<OpenAi>("garbage=1")[2],
        "data\0\u{fffd}\u{fffd}}\n\n"
    );
    assert_eq!(steps::<Bedrock>("garbage=1")[2], "twn");
    assert_eq!(steps::<OpenAi>("stall=1"), ["start", "one", "Stall(None)"]);
    assert_eq!(
        steps::<OpenAi>("truncated"),
        ["start", "one", "two", "data:", "Close"]
    );
}

#[test]
fn oddities_keep_every_byte() {
    assert_eq!(
        steps::<OpenAi>("split").concat(),
        steps::<OpenAi>("tokens=1").concat()
    );
    assert!(
        steps::<OpenAi>("split")
            .iter()
            .all(|piece| piece.len() <= 7)
    );
    assert_eq!(steps::<OpenAi>("comments")[..2], [": sim\n\n", "start"]);
}

#[test]
fn a_reset_comes_after_any_byte() {
    let whole = "data: one|data: two";
    for bytes in 0..whole.len() {
        let pieces = whole
            .split_inclusive('|')
            .map(|piece| Step::Send(Bytes::from(piece)));
        let mut cut = cut_at(pieces.collect(), bytes);
        assert!(matches!(cut.pop(), Some(Step::Reset)));
        let sent = cut.into_iter().map(|step| match step {
            Step::Send(piece) => piece.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(sent.sum::<usize>(), bytes);
    }
}
