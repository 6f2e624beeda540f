//! Where a second leg's text joins what has been delivered.
//!
//! A leg may begin with text that the client has already: a model that was asked to quote the last characters, one
//! that starts over, one that repeats white space. What is there twice is cut; what cannot be placed is refused.
//! Nothing here guesses: text is joined only where at least [`SURE`] characters (or all that was delivered) stand
//! again byte for byte.

use backstop_chat::Mode;

/// How many characters must stand again for a place to be sure.
const SURE: usize = 12;
/// Within how many characters of a leg the place must be found.
const WINDOW: usize = 400;

/// What is known of the join so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// More text is needed.
    Undecided,
    /// The leg goes on behind its first `cut` bytes.
    At { cut: usize, verified: bool },
    /// It cannot be placed.
    Nowhere,
}

/// Places `leg`, the text of a leg so far, behind `delivered`. `ended` says that no more of it will come.
pub(crate) fn place(mode: Mode, delivered: &str, leg: &str, ended: bool, lenient: bool) -> Join {
    match mode {
        Mode::Prefill { echoes } => prefilled(delivered, leg, ended, echoes),
        Mode::Replay => replayed(delivered, leg, ended),
        _ => quoted(delivered, leg, ended, lenient),
    }
}

/// A prefilled leg goes on right behind the prefill, which is the delivered text without its last white space.
fn prefilled(delivered: &str, leg: &str, ended: bool, echoes: bool) -> Join {
    let prefill = delivered.trim_end();
    let mut cut = 0;
    if echoes {
        match standing(prefill, leg, ended) {
            Standing::Whole => cut = prefill.len(),
            Standing::Open => return Join::Undecided,
            Standing::No => {}
        }
    }
    behind_space(delivered, leg, cut, ended)
}

/// A replayed leg says everything again, byte for byte, and goes on.
fn replayed(delivered: &str, leg: &str, ended: bool) -> Join {
    match standing(delivered, leg, ended) {
        Standing::Whole => Join::At {
            cut: delivered.len(),
            verified: true,
        },
        Standing::Open => Join::Undecided,
        Standing::No => Join::Nowhere,
    }
}

/// A leg that was asked to begin with the last characters delivered: it may begin earlier or later in them, or after
/// a few words of its own.
fn quoted(delivered: &str, leg: &str, ended: bool, lenient: bool) -> Join {
    let text = delivered.trim_end();
    let anchor = anchor(delivered);
    let space = leg.len() - leg.trim_start().len();
    if space == leg.len() && !ended {
        return Join::Undecided;
    }
    // As it stands, or behind white space of its own.
    for start in std::iter::once(0).chain((space > 0).then_some(space)) {
        let begun = &leg[start..];
        // As it was asked, which is the surest place where the text repeats itself; then the earliest place in the
        // delivered text from which on the leg repeats it to the end.
        let asked = (anchor.chars().nth(SURE - 1).is_some() || anchor == text)
            .then(|| text.len() - anchor.len());
        for at in asked.into_iter().chain(starts(text, begun)) {
            match standing(&text[at..], begun, ended) {
                Standing::Whole => {
                    return behind_space(delivered, leg, start + text.len() - at, ended);
                }
                Standing::Open => return Join::Undecided,
                Standing::No => {}
            }
        }
    }
    // The quotation behind a few words that nobody asked for.
    if let Some(found) = leg
        .find(anchor)
        .filter(|found| leg[..*found].chars().count() <= WINDOW)
    {
        return behind_space(delivered, leg, found + anchor.len(), ended);
    }
    if !ended && leg.chars().nth(WINDOW).is_none() {
        return Join::Undecided;
    }
    if lenient {
        Join::At {
            cut: 0,
            verified: false,
        }
    } else {
        Join::Nowhere
    }
}

/// The places in `text` at which `begun` may start to repeat it to the end: long enough to be sure, earliest first.
fn starts<'a>(text: &'a str, begun: &'a str) -> impl Iterator<Item = usize> + 'a {
    let last = text
        .char_indices()
        .rev()
        .nth(SURE - 1)
        .map_or(0, |(at, _)| at);
    let first = begun.chars().next();
    text[..]
        .char_indices()
        .take_while(move |(at, _)| *at <= last)
        .filter(move |(_, c)| Some(*c) == first)
        .map(|(at, _)| at)
}

enum Standing {
    /// `text` begins with all of it.
    Whole,
    /// It may yet.
    Open,
    No,
}

fn standing(expected: &str, text: &str, ended: bool) -> Standing {
    if text.starts_with(expected) {
        Standing::Whole
    } else if !ended && expected.starts_with(text) {
        Standing::Open
    } else {
        Standing::No
    }
}

/// Also cuts the white space that the delivered text ends with and the leg says again.
fn behind_space(delivered: &str, leg: &str, cut: usize, ended: bool) -> Join {
    let space = &delivered[delivered.trim_end().len()..];
    let rest = &leg[cut..];
    let again: usize = space
        .chars()
        .zip(rest.chars())
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    if again == rest.len() && again < space.len() && !ended {
        return Join::Undecided;
    }
    Join::At {
        cut: cut + again,
        verified: true,
    }
}

/// The last characters of the delivered text, which a leg is asked to begin with.
pub(crate) fn anchor(delivered: &str) -> &str {
    backstop_chat::anchor(delivered)
}

#[cfg(test)]
mod tests;
