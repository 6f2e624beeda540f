use proptest::prelude::*;

use super::*;

const PROMPTED: Mode = Mode::Prompted;
const PREFILL: Mode = Mode::Prefill { echoes: false };

/// Feeds `leg` in pieces: what is known then, and what the client has.
fn feed(mut seam: Seam, delivered: &str, leg: &[&str]) -> (Join, String) {
    for (index, piece) in leg.iter().enumerate() {
        let join = seam.push(delivered, piece, false);
        if let Join::At { cut, .. } = join {
            let rest: String = leg[index + 1..].concat();
            return (
                join,
                format!("{delivered}{}{rest}", &seam.into_text()[cut..]),
            );
        }
        if join != Join::Undecided {
            return (join, delivered.to_owned());
        }
    }
    let join = seam.push(delivered, "", true);
    let joined = match join {
        Join::At { cut, .. } => format!("{delivered}{}", &seam.into_text()[cut..]),
        Join::Unsure | Join::Nowhere => delivered.to_owned(),
        Join::Undecided => panic!("a part that has ended is decided"),
    };
    (join, joined)
}

fn join(mode: Mode, delivered: &str, leg: &[&str]) -> Option<String> {
    let (join, joined) = feed(Seam::new(mode, None, false), delivered, leg);
    matches!(join, Join::At { .. }).then_some(joined)
}

const TEXT: &str = "The load moves over to the others, the deck stays level. Nobody crossing it should have to know.";

#[test]
fn a_quotation_is_cut() {
    let (delivered, rest) = TEXT.split_at(40);
    let leg = format!("{}{rest}", anchor(delivered));
    assert_eq!(join(PROMPTED, delivered, &[&leg]).as_deref(), Some(TEXT));
    let leg = format!("\n{}{rest}", &delivered[10..]);
    assert_eq!(
        join(PROMPTED, delivered, &[&leg]).as_deref(),
        Some(TEXT),
        "a part of it, behind a line end"
    );
    let leg = format!("Sure, here it is: {}{rest}", anchor(delivered));
    assert_eq!(
        join(PROMPTED, delivered, &[&leg]).as_deref(),
        Some(TEXT),
        "behind words of its own"
    );
}

#[test]
fn a_restart_is_cut() {
    let (delivered, _) = TEXT.split_at(40);
    assert_eq!(join(PROMPTED, delivered, &[TEXT]).as_deref(), Some(TEXT));
}

#[test]
fn what_cannot_be_placed_is_refused() {
    let (delivered, rest) = TEXT.split_at(40);
    assert_eq!(
        join(PROMPTED, delivered, &[rest]),
        None,
        "no quotation, and too short to tell"
    );
    assert_eq!(
        join(
            PROMPTED,
            delivered,
            &["Quite differently put: services reply even when pieces break."]
        ),
        None
    );
    assert_eq!(
        join(PROMPTED, delivered, &[&delivered[36..], rest]),
        None,
        "four characters prove nothing"
    );
    assert_eq!(join(PROMPTED, delivered, &[]), None);
}

#[test]
fn a_lenient_caller_takes_what_cannot_be_placed() {
    let delivered = "some text of some length";
    let mut seam = Seam::new(PROMPTED, None, true);
    assert_eq!(
        seam.push(delivered, &"x".repeat(500), false),
        Join::At {
            cut: 0,
            verified: false
        }
    );
}

#[test]
fn what_stands_again_by_chance_proves_nothing() {
    let unsure = |delivered: &str, leg: &str| {
        let (join, _) = feed(Seam::new(PROMPTED, None, true), delivered, &[leg]);
        join == Join::Unsure
    };
    let (delivered, _) = TEXT.split_at(40);
    assert!(unsure(delivered, &TEXT[36..]), "four characters");
    assert!(unsure(delivered, &TEXT[29..]), "eleven characters");
    assert!(!unsure(delivered, &TEXT[28..]), "twelve are enough");
    let dashes = format!("A line: {}", "-".repeat(20));
    assert!(unsure(&dashes, &"-".repeat(35)), "more than one place");
    assert!(
        unsure("The bridge is ", "strong. The bridge is old."),
        "a short quotation in the middle"
    );
}

#[test]
fn where_the_text_repeats_itself_is_no_place() {
    let unsure = |delivered: &str, leg: &str| {
        let (join, _) = feed(Seam::new(PROMPTED, None, true), delivered, &[leg]);
        join == Join::Unsure
    };
    let row = "| window | and |\n";
    let delivered = format!("{row}each {row}");
    assert!(
        unsure(&delivered, &format!("{row}\u{e9}ach {row}")),
        "from the beginning, with one letter changed"
    );
    assert!(unsure(&delivered, &format!("{row}The end.")), "a third row");
    assert!(
        unsure(
            &format!("A table:\n{row}| win"),
            &format!("dow | and |\n{row}")
        ),
        "the rest of a row, and another one"
    );
    assert!(
        unsure(
            "So | window | and |\n| window | and",
            &format!(" |\n{row}The end.")
        ),
        "the same, behind white space"
    );
    let delivered = "and | oak | between |\n| oak | b";
    let rest = "etween |\n| oak | between |\n| - | - |\n";
    assert!(
        unsure(delivered, &format!(" | b{rest}")),
        "four characters again, and then the rest"
    );
    // As it was asked to begin, it means what was asked.
    let rows = row.repeat(20);
    let leg = format!("{}\nThe end.", anchor(&rows));
    let whole = format!("{rows}The end.");
    assert_eq!(join(PROMPTED, &rows, &[&leg]), Some(whole));
    assert!(
        unsure(&rows, &format!("Sure: {leg}")),
        "behind words of its own"
    );
}

#[test]
fn one_that_was_asked_from_further_back_repeats_all_of_that() {
    let delivered = &TEXT[..80];
    let from = rewound(delivered);
    assert_eq!(&delivered[..from], "The load moves");
    let place = |leg: &str| feed(Seam::new(PROMPTED, Some(from), true), delivered, &[leg]);
    for start in [0, 3, from, from + 1] {
        assert_eq!(place(&TEXT[start..]).1, TEXT, "from {start}");
    }
    for short in [&TEXT[from + 3..], &TEXT[70..], "Quite differently put"] {
        assert!(
            !matches!(place(short).0, Join::At { .. }),
            "{short}, though the caller is lenient"
        );
    }
    let prefilled = Seam::new(PREFILL, Some(from), false);
    assert_eq!(feed(prefilled, delivered, &[&TEXT[from..]]).1, TEXT);
    let prefilled = Seam::new(PREFILL, Some(from), false);
    assert_eq!(feed(prefilled, delivered, &["x"]).0, Join::Nowhere);
    assert_eq!(rewound(&TEXT[..70]), 0, "too little would be left");
}

#[test]
fn little_is_placed_only_where_all_of_it_stands_again() {
    assert_eq!(join(PROMPTED, "The ", &[TEXT]).as_deref(), Some(TEXT));
    assert_eq!(join(PROMPTED, "The ", &["\n", TEXT]).as_deref(), Some(TEXT));
    for leg in [" load", "A load. The load", "he load", ""] {
        assert_eq!(join(PROMPTED, "The", &[leg]), None, "{leg}");
    }
}

#[test]
fn white_space_at_the_seam_is_not_said_twice() {
    for (delivered, leg, whole) in [
        ("One.\n\n", "\n\nTwo.", "One.\n\nTwo."),
        ("One.\n\n", "Two.", "One.\n\nTwo."),
        ("One.\n", "\n\nTwo.", "One.\n\nTwo."),
        ("One. ", " Two.", "One. Two."),
        ("One.", " Two.", "One. Two."),
    ] {
        assert_eq!(
            join(PREFILL, delivered, &[leg]).as_deref(),
            Some(whole),
            "{delivered:?} + {leg:?}"
        );
    }
}

#[test]
fn an_echoed_prefill_is_cut() {
    let echoing = Mode::Prefill { echoes: true };
    assert_eq!(
        join(echoing, "One. ", &["On", "e. T", "wo."]).as_deref(),
        Some("One. Two.")
    );
    assert_eq!(
        join(echoing, "One. ", &["Two."]).as_deref(),
        Some("One. Two.")
    );
}

#[test]
fn a_replay_must_match_byte_for_byte() {
    assert_eq!(
        join(Mode::Replay, "One. ", &["On", "e. T", "wo."]).as_deref(),
        Some("One. Two.")
    );
    assert_eq!(join(Mode::Replay, "One. ", &["One! Two."]), None);
    assert_eq!(
        join(Mode::Replay, "One. Two.", &["One."]),
        None,
        "it ended before it caught up"
    );
}

proptest! {
    /// However a leg is split, and whatever it repeats, the client has the text once.
    #[test]
    fn the_text_stands_once(
        text in "([a-zäöü🐕é ]{1,9}[0-9]{1,3}[.,\n]{1,2}){6,12}",
        at in any::<prop::sample::Index>(),
        back in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let at = bounds[at.index(bounds.len())];
        let (delivered, rest) = text.split_at(at);
        prop_assume!(delivered.trim().chars().count() >= SURE && !delivered.ends_with(char::is_whitespace));
        let begin: Vec<usize> = bounds.iter().copied().filter(|b| delivered[(*b).min(at)..].chars().count() >= SURE && *b <= at).collect();
        let from = begin[back.index(begin.len())];
        prop_assume!(!text[from..].starts_with(char::is_whitespace));
        prop_assume!(!is_said_before(delivered, from) && !may_come_again(delivered, from));
        let leg = format!("{}{rest}", &delivered[from..]);
        let leg_bounds: Vec<usize> = leg.char_indices().map(|(at, _)| at).chain([leg.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| leg_bounds[cut.index(leg_bounds.len())]).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut last = 0;
        for cut in cuts {
            pieces.push(&leg[last..cut]);
            last = cut;
        }
        pieces.push(&leg[last..]);
        // A text that repeats itself may be placed earlier: then the leg would have begun earlier, too.
        if let Some(joined) = join(PROMPTED, delivered, &pieces) {
            prop_assert_eq!(joined, text.clone());
        } else {
            prop_assert!(false, "not placed: {:?} behind {:?}", leg, delivered);
        }
        prop_assert_eq!(join(PREFILL, delivered, &[rest]), Some(text));
    }
}

/// Texts that repeat themselves as much as they can.
fn repetitive() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec!["ab", "a", " ", "--", "\n", "é", "ab ab ", "🐕"]);
    prop::collection::vec(words, 4..120).prop_map(|words| words.concat())
}

proptest! {
    /// Whatever a part repeats or leaves out, and however the text repeats itself: it is placed where it belongs, or
    /// as much as makes a place sure stood again by chance.
    #[test]
    fn nothing_is_glued(
        text in repetitive(),
        at in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
    ) {
        let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let at = bounds[at.index(bounds.len())];
        let from = bounds[from.index(bounds.len())];
        let delivered = &text[..at];
        let leg = &text[from..];
        let mut seam = Seam::new(PROMPTED, None, false);
        if let Join::At { cut, verified } = seam.push(delivered, leg, true) {
            prop_assert!(verified);
            // White space before it counts where it stands again, too.
            let again = leg[..cut].trim_end();
            let again = if delivered.contains(again) { again } else { again.trim_start() };
            let sure = again.chars().count() >= SURE || delivered.trim().chars().count() < SURE;
            prop_assert!(sure, "{delivered:?} + {leg:?}: {again:?}");
            prop_assert!(delivered.contains(again));
        }
        // Asked from further back, the part has far more to repeat.
        let back = rewound(delivered);
        let mut seam = Seam::new(PROMPTED, Some(back), false);
        if let Join::At { cut, .. } = seam.push(delivered, leg, true) {
            let again = leg[..cut].trim();
            prop_assert!(again.ends_with(delivered[back..].trim()));
        }
    }

    /// A text that does not repeat itself is exact however much of it is said again, or the part is refused.
    #[test]
    fn a_text_without_repetition_is_exact(
        words in 20..60u32,
        at in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
    ) {
        // No four characters of it stand anywhere else in it.
        let letter = |at: u32| char::from_u32(u32::from('a') + at).expect("a letter");
        let text: String = (0..words)
            .map(|word| (letter(word % 20), letter(word / 20)))
            .map(|(outer, inner)| format!("{}{inner}{outer} ", outer.to_ascii_uppercase()))
            .collect();
        let at = at.index(text.len());
        let from = from.index(at + 1);
        let (delivered, leg) = (&text[..at], &text[from..]);
        if let Some(joined) = join(PROMPTED, delivered, &[leg]) {
            prop_assert_eq!(&joined, &text);
        } else {
            let trimmed = delivered.trim_end().len();
            prop_assert!(trimmed < from + SURE, "{} again", trimmed - from);
        }
        let back = rewound(delivered);
        if from <= back {
            let seam = Seam::new(PROMPTED, Some(back), false);
            prop_assert_eq!(&feed(seam, delivered, &[leg]).1, &text);
        }
    }
}
