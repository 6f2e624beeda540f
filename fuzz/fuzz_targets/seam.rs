//! Where a further part of an answer joins: at the same place however it is split, and only where it may.

#![no_main]

use backstop_chat::{Mode, SURE, anchor};
use backstop_resume::fuzz::join;
use libfuzzer_sys::fuzz_target;

/// Between the way of going on, the delivered text and the part.
const BETWEEN: char = '\u{1e}';

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let parts: Vec<_> = text.splitn(3, BETWEEN).collect();
    let [way, delivered, part] = parts[..] else {
        return;
    };
    let (mode, lenient) = match way {
        "p" => (Mode::Prefill { echoes: false }, false),
        "e" => (Mode::Prefill { echoes: true }, false),
        "r" => (Mode::Replay, false),
        "l" => (Mode::Prompted, true),
        _ => (Mode::Prompted, false),
    };

    let whole = joined(mode, lenient, delivered, part);
    let Some(cut) = whole else {
        return quotes(delivered, part);
    };
    assert!(part.is_char_boundary(cut), "cut at {cut}");
    let again = part[..cut].trim_end();
    let text = delivered.trim_end();
    match mode {
        Mode::Prefill { .. } => assert!(again.is_empty() || again == text),
        Mode::Replay => assert_eq!(&part[..cut], delivered),
        _ if lenient && cut == 0 => {}
        // As much of the end of what was delivered stands there as makes a place sure.
        _ => {
            let sure = text.char_indices().rev().nth(SURE - 1);
            assert!(again.ends_with(&text[sure.map_or(0, |(at, _)| at)..]));
        }
    }
    quotes(delivered, part);
});

/// The place, which is the same in pieces of any size.
fn joined(mode: Mode, lenient: bool, delivered: &str, part: &str) -> Option<usize> {
    let whole = join(mode, lenient, delivered, part, usize::MAX);
    for piece in [1, 2, 5, 41] {
        let pieces = join(mode, lenient, delivered, part, piece);
        assert_eq!(pieces, whole, "in pieces of {piece}");
    }
    whole
}

/// A part that begins as it was asked to goes on right behind that.
fn quotes(delivered: &str, rest: &str) {
    let quotation = anchor(delivered);
    if quotation.chars().count() < SURE {
        return;
    }
    let part = format!("{quotation}{rest}");
    let cut = joined(Mode::Prompted, false, delivered, &part).expect("it is as it was asked for");
    let space = &delivered[delivered.trim_end().len()..];
    let again = cut
        .checked_sub(quotation.len())
        .expect("the quotation is cut");
    assert!(
        space.starts_with(&rest[..again]),
        "only white space that is there"
    );
}
