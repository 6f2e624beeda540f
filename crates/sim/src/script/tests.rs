use super::*;

fn answer(model: &str, prefix: &str, user: Option<&str>) -> String {
    let given = Given {
        prefix: Some(prefix.to_owned()),
        user: user.map(str::to_owned),
    };
    let (_, plan) = Plan::of(model).unwrap();
    joined(&say(&plan, &given, &[], None))
}

fn joined(said: &Said) -> String {
    serde_json::from_str(&format!("\"{}\"", said.tokens.concat())).unwrap()
}

#[test]
fn every_style_has_its_text_in_tokens_that_make_it_up() {
    for style in Style::NAMES {
        let model = format!("m+tokens=300+text={style}");
        let (_, plan) = Plan::of(&model).unwrap();
        let said = say(&plan, &Given::default(), &[], None);
        assert_eq!(said.tokens.len(), 300);
        assert_eq!(joined(&said), text(&model), "{style}");
    }
}

#[test]
fn a_continuation_from_any_byte_yields_exactly_the_rest() {
    for style in Style::NAMES {
        let model = format!("m+tokens=40+text={style}");
        let whole = text(&model);
        for (at, _) in whole
            .char_indices()
            .skip(1)
            .filter(|(at, _)| !whole[..*at].trim().is_empty())
        {
            let (prefix, rest) = whole.split_at(at);
            assert_eq!(answer(&model, prefix, None), rest, "{style} at {at}");
            assert_eq!(
                answer(&model, prefix, Some("Please go on.")),
                rest,
                "{style} at {at}"
            );
            // Another model, of another style, knows the text as well.
            assert_eq!(
                answer("other+tokens=40", prefix, None),
                rest,
                "{style} at {at}"
            );
        }
    }
}

#[test]
fn a_quoted_tail_is_repeated_first() {
    let whole = text("m");
    let (prefix, rest) = whole.split_at(120);
    let tail = &prefix[80..];
    let ask = format!("Begin by repeating exactly this, then go on: «{tail}»");
    assert_eq!(answer("m", prefix, Some(&ask)), format!("{tail}{rest}"));
    assert_eq!(answer("m+noanchor", prefix, Some(&ask)), rest);
    assert_eq!(answer("m+echo", prefix, Some(&ask)), whole);
    assert_eq!(answer("m+restart", prefix, Some(&ask)), whole);
    assert_eq!(answer("m+overlap=7", prefix, Some(&ask)), whole[113..]);
    assert_eq!(answer("m+overlap=0", prefix, Some(&ask)), rest);
    assert_eq!(
        answer("m+overlap=200", prefix, Some(&ask)),
        whole,
        "no more than there is"
    );
    assert!(answer("m+paraphrase", prefix, Some(&ask)).starts_with("Differently"));
}

#[test]
fn a_short_prefix_is_quoted_whole_and_a_stray_letter_is_no_quotation() {
    let whole = text("m");
    assert_eq!(
        answer("m", &whole[..4], Some("it ended with: «A br»")),
        whole
    );
    assert_eq!(answer("m", &whole[..4], Some("r")), whole[4..]);
}

#[test]
fn white_space_missing_from_the_quotation_comes_again_from_the_text() {
    let whole = text("m");
    let at = whole[60..].find(' ').unwrap() + 61;
    let (prefix, rest) = whole.split_at(at);
    let tail = &prefix.trim_end()[30..];
    let ask = format!("repeat «{tail}» and go on");
    assert_eq!(answer("m", prefix, Some(&ask)), format!("{tail} {rest}"));
}

#[test]
fn a_finished_answer_and_another_turn_is_a_new_question() {
    let whole = text("m");
    assert_eq!(answer("m", &whole, Some("And what else?")), whole);
    assert_eq!(answer("m", &whole, None), "");
    let ask = format!("go on behind «{}»", &whole[whole.len() - 20..]);
    assert_eq!(answer("m", &whole, Some(&ask)), whole[whole.len() - 20..]);
}

#[test]
fn a_text_that_is_not_ours_is_answered_from_the_beginning() {
    assert_eq!(answer("m", "Paris is in", None), text("m"));
}

#[test]
fn the_bound_and_stop_sequences_end_the_text_early() {
    let (_, plan) = Plan::of("m").unwrap();
    let given = Given::default();
    let short = say(&plan, &given, &[], Some(5));
    assert_eq!((short.tokens.len(), short.cut_short), (5, true));

    let whole = text("m");
    let stop = whole[30..36].to_owned();
    let stopped = say(&plan, &given, std::slice::from_ref(&stop), None);
    assert_eq!(joined(&stopped), whole[..whole.find(&stop).unwrap()]);
    assert_eq!(stopped.stopped_by, Some(stop));
}
