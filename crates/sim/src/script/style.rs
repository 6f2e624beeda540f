//! What texts are made of.

/// What the text is made of. The tokens of the odd ones end inside what a reader takes for one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Ascii,
    Multibyte,
    Emoji,
    Combining,
    Crlf,
    Code,
    /// Not chosen by name: what `paraphrase` answers with.
    Paraphrase,
}

const PROSE: &str = "A bridge is judged on the day when one of its cables gives way. Nobody crossing it should have to know. \
    The load moves over to the others, the deck stays level, and the engineers read about it in a log the next morning. \
    Software that leans on a distant service can be built in the same manner: expect every part to break, decide beforehand who \
    takes over, and write down what happened. Then an outage is a line in a report, instead of a ringing telephone at night. \
    It takes patience to get there. Each retry needs a limit, each timeout a reason, each fallback a rehearsal; untested \
    emergency exits tend to be locked. But once those rehearsals are routine, failure turns into something small and dull, \
    which is precisely what good infrastructure ought to be.";

type Words = &'static [&'static [&'static str]];

impl Style {
    pub(crate) const NAMES: &'static [&'static str] =
        &["ascii", "multibyte", "emoji", "combining", "crlf", "code"];

    pub(super) const NAMED: [Self; 6] = [
        Self::Ascii,
        Self::Multibyte,
        Self::Emoji,
        Self::Combining,
        Self::Crlf,
        Self::Code,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        Some(Self::NAMED[index])
    }

    /// How the text begins, and the words that follow in an order that looks random and never changes; without such
    /// words, those of the beginning follow again.
    pub(super) fn vocabulary(self) -> (&'static str, Words) {
        match self {
            Self::Ascii => (PROSE, &[]),
            Self::Multibyte => (
                "Zuverlässig",
                &[
                    &[" größer"],
                    &[" прив", "ет"],
                    &[" κόσμε"],
                    &["日本", "語"],
                    &[" naïve"],
                    &[" señor"],
                    &["你好", "。"],
                    &[" Übergänge", ","],
                    &[" część"],
                    &[" đường"],
                    &[" שלום"],
                    &[" öffnen", "."],
                ],
            ),
            Self::Emoji => (
                "🙂",
                &[
                    &[" 👩", "\u{200d}🔬"],
                    &[" 🇪", "🇺"],
                    &[" 👍", "🏽"],
                    &["🚀"],
                    &[" ok"],
                    &[" 👨", "\u{200d}👩", "\u{200d}👧"],
                    &[" ❤", "\u{fe0f}"],
                    &[" then"],
                    &["🌍", "."],
                    &[" 1", "\u{fe0f}", "\u{20e3}"],
                ],
            ),
            Self::Combining => (
                "Cafe",
                &[
                    &["\u{301}"],
                    &[" e", "\u{301}te", "\u{301}"],
                    &[" n", "\u{303}"],
                    &[" a", "\u{308}", "\u{304}"],
                    &[" o", "\u{302}"],
                    &[" plain"],
                    &[" क", "\u{94d}", "ष"],
                    &[" u", "\u{30a}", "."],
                ],
            ),
            Self::Crlf => (
                "First",
                &[
                    &[" line"],
                    &[" of"],
                    &[" many"],
                    &["\r", "\n"],
                    &["\r\n"],
                    &[" with"],
                    &[" ends", ".\r", "\n"],
                    &["\n\n"],
                    &[" data: x"],
                    &["\tsaid"],
                    &[" : so"],
                ],
            ),
            Self::Code => (
                "fn",
                &[
                    &[" main()"],
                    &[" {", "\n    "],
                    &["let", " x"],
                    &[" = ", "\"a\\", "n\"", ";\n    "],
                    &["// \\u00e9 </", "tag>\n    "],
                    &["[DONE", "]"],
                    &["println!", "(\"{}\"", ", x);\n"],
                    &["}\n"],
                    &[" &'a"],
                    &[" |x| ", "x + 1"],
                    &["\u{2028}"],
                    &["\0"],
                ],
            ),
            Self::Paraphrase => (
                "Differently",
                &[
                    &[" put"],
                    &[":"],
                    &[" services"],
                    &[" reply"],
                    &[" even"],
                    &[" when"],
                    &[" pieces"],
                    &[" break"],
                    &[" down", "."],
                ],
            ),
        }
    }
}
