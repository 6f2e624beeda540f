use proptest::prelude::*;

use super::*;

const PROMPTED: Mode = Mode::Prompted;
const PREFILL: Mode = Mode::Prefill { echoes: false };

/// Feeds `leg` in pieces, and gives what the client has in the end.
fn join(mode: Mode, delivered: &str, leg: &[&str]) -> Option<String> {
    let mut text = String::new();
    for (index, piece) in leg.iter().enumerate() {
        text.push_str(piece);
        match place(mode, delivered, &text, false, false) {
            Join::Undecided => {}
            Join::Nowhere => return None,
            Join::At { cut, .. } => {
                let rest: String = leg[index + 1..].concat();
                return Some(format!("{delivered}{}{rest}", &text[cut..]));
            }
        }
    }
    match place(mode, delivered, &text, true, false) {
        Join::At { cut, .. } => Some(format!("{delivered}{}", &text[cut..])),
        Join::Nowhere => None,
        Join::Undecided => panic!("an ended leg is decided"),
    }
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
    let placed = place(PROMPTED, "some text", &"x".repeat(500), false, true);
    assert_eq!(
        placed,
        Join::At {
            cut: 0,
            verified: false
        }
    );
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
