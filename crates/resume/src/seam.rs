//! Where a further part's text joins what has been delivered.
//!
//! A part may begin with text that the caller has already: a model that was asked to quote the last characters, one
//! that starts over, one that repeats white space. What is there twice is cut; what cannot be placed is refused.
//! Nothing here guesses: text is joined only where at least [`SURE`] characters (or all that was delivered) stand
//! again byte for byte, and only if there is one such place. Where the text repeats itself, as a table does with its
//! rows, that is no place unless it was asked for.

use backstop_chat::{Mode, SURE, anchor};

/// Within how many characters of a part the place must be found.
const WINDOW: usize = 400;
/// How long a quotation must be to count behind words that nobody asked for.
const QUOTATION: usize = 40;
/// How many characters may stand again before words that nobody asked for.
const CHANCE: usize = 3;
/// How far from its end the delivered text is searched for the place where a part began, in bytes. One that starts
/// over is found however long the text is.
const REACH: usize = 8 * 1024;
/// How many characters earlier a request pretends that the answer ended, when it is asked once more.
const REWIND: usize = 64;
/// How many more, to find the end of a word.
const WORD: usize = 32;

/// What is known of the join so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// More text is needed.
    Undecided,
    /// The part goes on behind its first `cut` bytes.
    At { cut: usize, verified: bool },
    /// What stands again is too little, or stands in more than one place.
    Unsure,
    /// It cannot be placed.
    Nowhere,
}

/// A further part whose place is being looked for.
#[derive(Debug)]
pub(crate) struct Seam {
    mode: Mode,
    /// Where in the delivered text the request said that the answer ended, if not at its end.
    rewound: Option<usize>,
    lenient: bool,
    /// Its text so far.
    text: String,
    /// Where it may have begun; `None` until there is enough to tell. Those that were asked for come first.
    starts: Option<Vec<Start>>,
    /// How much of its text has been compared.
    compared: usize,
}

/// A place at which a part may have begun to repeat the delivered text.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// In the part.
    lead: usize,
    /// In the delivered text.
    at: usize,
    /// It was asked to begin there: that settles it, even where the text repeats itself.
    asked: bool,
}

impl Seam {
    pub(crate) const fn new(mode: Mode, rewound: Option<usize>, lenient: bool) -> Self {
        Self {
            mode,
            rewound,
            lenient,
            text: String::new(),
            starts: None,
            compared: 0,
        }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// The part's text so far.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Looks on when `piece` of the part has come. `ended` says that no more will.
    pub(crate) fn push(&mut self, delivered: &str, piece: &str, ended: bool) -> Join {
        self.text.push_str(piece);
        let expected = match self.mode {
            Mode::Replay => delivered,
            // White space at the end is neither prefilled nor quoted.
            _ => delivered.trim_end(),
        };
        let mut starts = match self.starts.take() {
            Some(starts) => starts,
            None => match self.starts(delivered, expected, ended) {
                Some(starts) => starts,
                None => return Join::Undecided,
            },
        };
        starts.retain(|start| self.is_consistent(*start, expected));
        self.compared = self.text.len();
        let join = self.judge(&starts, delivered, expected, ended);
        self.starts = Some(starts);
        join
    }

    /// Whether what has come since the last time is what stands behind `start`.
    fn is_consistent(&self, start: Start, expected: &str) -> bool {
        let new = self.compared.max(start.lead);
        let have = &self.text.as_bytes()[new..];
        let expected = &expected.as_bytes()[start.at..];
        let expected = expected.get(new - start.lead..).unwrap_or_default();
        let common = have.len().min(expected.len());
        have[..common] == expected[..common]
    }

    fn judge(&self, starts: &[Start], delivered: &str, expected: &str, ended: bool) -> Join {
        let mut found = None;
        let (mut open, mut several) = (false, false);
        for start in starts {
            let again = expected.len() - start.at;
            let cut = start.lead + again;
            if self.text.len() >= cut {
                if start.asked {
                    return self.behind(cut, delivered, ended);
                }
                several |= found.is_some_and(|(found, _)| found != cut);
                found = Some((cut, start.at));
            } else if !ended {
                if start.asked {
                    return Join::Undecided;
                }
                open = true;
            }
        }
        if open {
            return Join::Undecided;
        }
        if several {
            return Join::Unsure;
        }
        match found {
            Some((_, at)) if is_said_before(expected, at) => Join::Unsure,
            // Asked from further back, it has repeated far more than what chance explains.
            Some((_, at)) if self.rewound.is_none() && may_come_again(expected, at) => Join::Unsure,
            Some((cut, _)) => self.behind(cut, delivered, ended),
            None if self.mode == Mode::Prompted => self.look(delivered, expected, ended),
            None => Join::Nowhere,
        }
    }

    /// The part does not begin with the delivered text: is there something else to go by?
    fn look(&self, delivered: &str, expected: &str, ended: bool) -> Join {
        let asked = self.asked(delivered);
        let quotation = &expected[asked..];
        let long = quotation.chars().take(QUOTATION).count();
        if self.is_whole(expected) || long < SURE {
            return Join::Nowhere;
        }
        let short = |at| self.text.starts_with(&expected[at..]);
        let found = self.text.find(quotation);
        if let Some(at) = found.filter(|at| self.text[..*at].chars().count() <= WINDOW) {
            let too_short = long < QUOTATION || last(expected, SURE - 1).any(short);
            if too_short || is_said_before(expected, asked) {
                return Join::Unsure;
            }
            return self.behind(at + quotation.len(), delivered, ended);
        }
        // A few characters at the beginning of a word may be chance; these need not be waited for.
        if last(expected, SURE - 1).skip(CHANCE).any(short) {
            return Join::Unsure;
        }
        if !ended && self.text.chars().nth(WINDOW).is_none() {
            return Join::Undecided;
        }
        if last(expected, CHANCE).any(short) {
            return Join::Unsure;
        }
        if self.lenient && self.rewound.is_none() {
            return Join::At {
                cut: 0,
                verified: false,
            };
        }
        Join::Nowhere
    }

    /// Where in the delivered text a prompted part was asked to begin.
    fn asked(&self, delivered: &str) -> usize {
        let said = delivered[..self.rewound.unwrap_or(delivered.len())].trim_end();
        said.len() - anchor(said).len()
    }

    /// Whether only all of the delivered text, said again, proves anything: there is little of it, or the request
    /// did not speak of it.
    fn is_whole(&self, expected: &str) -> bool {
        self.rewound == Some(0) || expected.chars().nth(SURE - 1).is_none()
    }

    /// Where the part may have begun; `None` if more of it is needed to tell.
    fn starts(&self, delivered: &str, expected: &str, ended: bool) -> Option<Vec<Start>> {
        let start = |lead, at| Start {
            lead,
            at,
            asked: true,
        };
        match self.mode {
            Mode::Prefill { echoes } => {
                let prefill = self.rewound.unwrap_or(expected.len());
                let from_the_beginning = echoes.then(|| start(0, 0));
                let starts = from_the_beginning.into_iter().chain([start(0, prefill)]);
                return Some(starts.collect());
            }
            Mode::Replay => return Some(vec![start(0, 0)]),
            _ => {}
        }
        let space = self.text.len() - self.text.trim_start().len();
        if space == self.text.len() && !ended {
            return None;
        }
        // As it stands, or behind white space of its own.
        let leads = [0, space];
        let leads = &leads[..1 + usize::from(space > 0)];
        if self.is_whole(expected) {
            return Some(leads.iter().map(|lead| start(*lead, 0)).collect());
        }
        let asked = self.asked(delivered);
        let mut starts = Vec::new();
        if expected[asked..].chars().nth(SURE - 1).is_some() {
            starts.extend(leads.iter().map(|lead| start(*lead, asked)));
        }
        let latest = match self.rewound {
            // White space there may be missing.
            Some(from) => expected.len() - expected[from..].trim_start().len(),
            None => last(expected, SURE).last().unwrap_or(0),
        };
        let near = expected.floor_char_boundary(expected.len().saturating_sub(REACH));
        let near = expected[near..].char_indices().map(|(at, _)| near + at);
        let places = std::iter::once(0).chain(near.skip_while(|at| *at == 0));
        for at in places.take_while(|at| *at <= latest) {
            for lead in leads {
                let first = self.text[*lead..].chars().next();
                if at != asked && first.is_some() && first == expected[at..].chars().next() {
                    starts.push(Start {
                        asked: false,
                        ..start(*lead, at)
                    });
                }
            }
        }
        Some(starts)
    }

    /// Joins behind the first `cut` bytes, and behind the white space that the delivered text ends with and the
    /// part says again.
    fn behind(&self, cut: usize, delivered: &str, ended: bool) -> Join {
        let space = match self.mode {
            Mode::Replay => "",
            _ => &delivered[delivered.trim_end().len()..],
        };
        let rest = &self.text[cut..];
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
}

/// Whether what stands behind `at` stands elsewhere in `text`, too: who says it again may mean that.
fn is_said_before(text: &str, at: usize) -> bool {
    text.find(&text[at..]) != Some(at)
}

/// Whether `text` ends as it does at `at`, or up to 11 characters behind it: who says again what stands there may have
/// repeated as few, or none, and have gone on with what followed them before.
fn may_come_again(text: &str, at: usize) -> bool {
    let ends_alike = |before: &str| {
        let common = before.chars().rev().zip(text.chars().rev());
        common.take_while(|(a, b)| a == b).count()
    };
    let places = text[at..].char_indices().take(SURE).enumerate();
    ends_alike(text[..at].trim_end()) > CHANCE
        || places
            .skip(1)
            .any(|(few, (behind, _))| ends_alike(&text[..at + behind]) >= few.max(CHANCE + 1))
}

/// The places of the last `count` characters of `text`, the last one first.
fn last(text: &str, count: usize) -> impl Iterator<Item = usize> {
    text.char_indices().rev().take(count).map(|(at, _)| at)
}

/// Where a request pretends that the answer ended, so that the part must repeat what the caller has: some 64
/// characters earlier, behind a word. 0 where too little would be left.
pub(crate) fn rewound(delivered: &str) -> usize {
    let text = delivered.trim_end();
    let at = last(text, REWIND).last().unwrap_or(0);
    let space = last(&text[..at], WORD).find(|at| text[*at..].starts_with(char::is_whitespace));
    let text = text[..space.unwrap_or(at)].trim_end();
    if text.chars().nth(SURE - 1).is_some() {
        text.len()
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
