//! Every way to go on behind every place to break: exactly the text, or an error.

use backstop_core::FailureKind;

use crate::support::{Leg, PREFILLED, Style, TEXT, WHOLE, all, ask, pieces, styled};

const TEXTS: [&str; 6] = [
    TEXT,
    "Zuverlässige Übergänge sind größer als приве́т, κόσμε 日本語 und señor naïve; öffnen שלום đường część 你好。",
    "🙂 👩\u{200d}🔬 🇪🇺👍🏽🚀 ok 👨\u{200d}👩\u{200d}👧 ❤\u{fe0f} then 🌍. 1\u{fe0f}\u{20e3} 🙂 👩\u{200d}🔬 🇪🇺👍🏽🚀 ok again 🌍.",
    "Cafe\u{301} e\u{301}te\u{301} n\u{303} a\u{308}\u{304} o\u{302} plain क\u{94d}ष u\u{30a}. Cafe\u{301} au lait, n\u{303} and a\u{308}\u{304} again, o\u{302}.",
    "First line\r\n\r\nsecond of many\r\n\tdata: x\n\n: so it ends.\r\n    \r\n  And then\n\n\n- some\n- points\n- in a list\r\n",
    "fn main() {\n    let x = \"a\\n\";\n    // \\u00e9 </tag>\n    println!(\"{}\", x);\n    let y = |x| x + 1;\n    [DONE]\u{2028}\0}\n}\n",
];

const KINDS: [FailureKind; 5] = [
    FailureKind::Network,
    FailureKind::Timeout,
    FailureKind::ServerError,
    FailureKind::Overloaded,
    FailureKind::RateLimit,
];

/// Breaks at every place of every text, and has it gone on with by `leg`.
async fn everywhere(extra: &str, leg: Leg, exact: bool) {
    for (nth, text) in TEXTS.into_iter().enumerate() {
        for after in 1..=pieces(text).len() {
            let kind = KINDS[(after + nth) % KINDS.len()];
            let first = Leg {
                text,
                model: leg.model,
                breaks: Some((after, kind)),
                ..WHOLE
            };
            let leg = Leg {
                text,
                ..leg.clone()
            };
            let why = format!("{:?} after {after} of {text:?}", leg.style);
            let got = ask(all(), extra, [first, leg.clone(), leg]).await;
            if exact || got.error.is_none() {
                got.assert_whole(text, &why);
            } else {
                got.assert_broken(text, &why);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn by_prefill() {
    everywhere("", PREFILLED, true).await;
    let echoing = Leg {
        prefill: Some(true),
        ..WHOLE
    };
    everywhere("", echoing, true).await;
}

#[tokio::test(start_paused = true)]
async fn by_replay() {
    let same = Leg {
        model: Some("one"),
        ..WHOLE
    };
    everywhere(r#", "temperature": 0"#, same.clone(), true).await;
    everywhere(r#", "seed": 7"#, same, true).await;
}

#[tokio::test(start_paused = true)]
async fn by_a_prompt() {
    for style in [Style::Asked, Style::Restart] {
        everywhere("", styled(style), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_prompt_however_much_stands_again() {
    for chars in (1..=24).chain([40, 63, 64, 65, 100, 159, 160, 161, 200]) {
        everywhere("", styled(Style::Overlap(chars)), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn never_glued() {
    for style in [Style::NoAnchor, Style::Paraphrase, Style::Preamble] {
        everywhere("", styled(style), false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_break() {
    for kind in KINDS {
        for after in 1..=pieces(TEXT).len() {
            let first = Leg {
                breaks: Some((after, kind)),
                ..WHOLE
            };
            let got = ask(all(), "", [first, WHOLE]).await;
            got.assert_whole(TEXT, kind.as_str());
            let resumes = got.trail.snapshot().resumes;
            let by = resumes[0].deployment.as_ref();
            assert_eq!((resumes.len(), by.map(|it| &**it.id())), (1, Some("d1")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_placed_goes_to_the_next_or_fails() {
    for style in [Style::Paraphrase, Style::NoAnchor] {
        let odd = styled(style);
        let first = WHOLE.breaking(5);
        let got = ask(all(), "", [first.clone(), odd.clone(), WHOLE]).await;
        got.assert_whole(TEXT, "the next one can be placed");
        let got = ask(all(), "", [first, odd.clone(), odd]).await;
        assert_eq!(got.text, TEXT.chars().take(35).collect::<String>());
        got.assert_broken(TEXT, "never glued");
    }
}
