//! Stop sequences that begin in what was delivered and end in the part that goes on: no provider sees these.

use backstop_chat::Chat;

/// A stop sequence may stand across a seam: the text behind it is held back until that is known.
#[derive(Debug)]
pub(crate) struct Across {
    /// What is still needed for each that has begun.
    begun: Vec<String>,
    /// Text behind the seam.
    held: String,
}

/// What has become of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// More text is needed.
    Open,
    /// There is none: this text may be handed on.
    Clear(String),
    /// One ends here. The text behind the seam is its end, and what came behind it.
    Stop,
}

impl Across {
    /// `None` if the delivered text does not end with the beginning of any stop sequence.
    pub(crate) fn new(chat: &Chat, delivered: &str) -> Option<Self> {
        let stops = stops(chat.member("stop")?);
        let begun: Vec<String> = stops
            .iter()
            .flat_map(|stop| {
                let ends = stop.char_indices().map(|(at, _)| at).skip(1);
                ends.filter(|end| delivered.ends_with(&stop[..*end]))
                    .map(|end| stop[end..].to_owned())
            })
            .collect();
        (!begun.is_empty()).then_some(Self {
            begun,
            held: String::new(),
        })
    }

    /// Takes the next text behind the seam. `ended` says that none follows.
    pub(crate) fn push(&mut self, text: &str, ended: bool) -> Crossing {
        self.held.push_str(text);
        let held = &self.held;
        if self.begun.iter().any(|rest| held.starts_with(&**rest)) {
            return Crossing::Stop;
        }
        self.begun.retain(|rest| rest.starts_with(&**held));
        if self.begun.is_empty() || ended {
            Crossing::Clear(std::mem::take(&mut self.held))
        } else {
            Crossing::Open
        }
    }
}

/// The stop sequences of a request: one, or a list.
fn stops(member: &str) -> Vec<String> {
    let list = serde_json::from_str::<Vec<String>>(member);
    let mut stops = list
        .or_else(|_| serde_json::from_str::<String>(member).map(|stop| vec![stop]))
        .unwrap_or_default();
    stops.retain(|stop| !stop.is_empty());
    stops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn across(stop: &str, delivered: &str) -> Option<Across> {
        let chat = format!(
            r#"{{"model": "m", "stop": {stop}, "messages": [{{"role": "user", "content": "hi"}}]}}"#
        );
        Across::new(&Chat::parse(chat).expect("valid"), delivered)
    }

    #[test]
    fn one_that_begins_before_the_seam_ends_behind_it() {
        for (stop, delivered, pieces) in [
            (r#""END""#, "so E", &["ND of it"][..]),
            (r#"["\n\n", "END"]"#, "so\n", &["\nmore"]),
            (r#""<|stop|>""#, "so <|", &["st", "op", "|", "> x"]),
            (r#""ääb""#, "äää", &["b"]),
            (r#"["abcd", "bcx"]"#, "zab", &["c", "x"]),
        ] {
            let mut across = across(stop, delivered).expect("one has begun");
            let (last, before) = pieces.split_last().expect("some");
            for piece in before {
                assert_eq!(across.push(piece, false), Crossing::Open, "{stop}");
            }
            assert_eq!(across.push(last, false), Crossing::Stop, "{stop}");
        }
    }

    #[test]
    fn what_only_begins_like_one_is_handed_on() {
        let mut held = across(r#""END""#, "so E").expect("one has begun");
        assert_eq!(held.push("N", false), Crossing::Open);
        assert_eq!(held.push("O", false), Crossing::Clear("NO".to_owned()));
        let mut held = across(r#""END""#, "so E").expect("one has begun");
        assert_eq!(held.push("N", true), Crossing::Clear("N".to_owned()));
    }

    #[test]
    fn most_seams_have_none() {
        for (stop, delivered) in [
            (r#""END""#, "so"),
            (r#""END""#, "END"),
            (r#""""#, "so"),
            ("[]", "so"),
            ("null", "so"),
        ] {
            assert!(across(stop, delivered).is_none(), "{stop}");
        }
    }
}
