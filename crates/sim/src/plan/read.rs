//! Faults by name.

use super::{Break, Kind, MAX_TOKENS, Plan, Seam, Shape, Silence};
use crate::script::Style;
use std::{fmt, time::Duration};

/// Every fault that a model name or an outage may carry, as they are written.
pub const KNOWN: &[&str] = &[
    "500",
    "503",
    "529",
    "504",
    "429",
    "429=seconds",
    "401",
    "403",
    "404",
    "400",
    "quota",
    "context",
    "filter",
    "filter200",
    "filter200=after",
    "hang",
    "reset",
    "latency=ms",
    "ttft=ms",
    "slow=ms",
    "ping=ms",
    "stall=after",
    "cut=after",
    "cutat=bytes",
    "eof=after",
    "error=after",
    "garbage",
    "garbage=after",
    "html",
    "empty",
    "truncated",
    "hugeerror",
    "wrongtype",
    "nodone",
    "crlf",
    "comments",
    "split",
    "tools",
    "twotools",
    "tools=n",
    "preamble=n",
    "tokens=n",
    "cached=n",
    "written=n",
    "written1h=n",
    "text=style",
    "echo",
    "overlap=n",
    "restart",
    "noanchor",
    "paraphrase",
    "noprefill",
    "geo=place",
    "fail=n",
    "first=n",
];

/// The most calls that one answer has.
const MAX_CALLS: usize = 100;

/// A fault that is not in [`KNOWN`], or an argument that it cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault {
    fault: String,
}

impl UnknownFault {
    pub(crate) fn new(fault: &str) -> Self {
        Self {
            fault: fault.to_owned(),
        }
    }
}

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown fault `{}`; known: {}; text styles: {}",
            self.fault,
            KNOWN.join(", "),
            Style::NAMES.join(", "),
        )
    }
}

impl std::error::Error for UnknownFault {}

impl Plan {
    /// Splits `gpt-4o+500+slow=20` into the model and its plan.
    pub(crate) fn of(model: &str) -> Result<(&str, Self), UnknownFault> {
        let mut plan = Self::default();
        let base = match model.split_once('+') {
            Some((base, faults)) => {
                plan.apply(faults)?;
                base
            }
            None => model,
        };
        Ok((base, plan))
    }

    /// Adds the faults of `faults`, joined by `+`; the later one of two that exclude each other holds.
    pub(crate) fn apply(&mut self, faults: &str) -> Result<(), UnknownFault> {
        faults.split('+').try_for_each(|fault| self.add(fault))
    }

    fn add(&mut self, fault: &str) -> Result<(), UnknownFault> {
        let unknown = || UnknownFault::new(fault);
        let (name, arg) = match fault.split_once('=') {
            Some((name, arg)) => (name, Some(arg)),
            None => (fault, None),
        };
        let number = || {
            arg.and_then(|arg| arg.parse::<usize>().ok())
                .ok_or_else(unknown)
        };
        let millis = || number().map(|ms| Duration::from_millis(ms as u64));

        match (name, arg) {
            ("500", None) => self.error = Some(Kind::Server),
            ("503", None) => self.error = Some(Kind::Unavailable),
            ("529", None) => self.error = Some(Kind::Overloaded),
            ("504", None) => self.error = Some(Kind::Timeout),
            ("429", None) => self.error = Some(Kind::RateLimit(None)),
            ("429", Some(hint)) => {
                let hint = hint
                    .parse::<f64>()
                    .ok()
                    .filter(|s| s.is_finite() && *s >= 0.0);
                self.error = Some(Kind::RateLimit(Some(hint.ok_or_else(unknown)?)));
            }
            ("401", None) => self.error = Some(Kind::Auth),
            ("403", None) => self.error = Some(Kind::Permission),
            ("404", None) => self.error = Some(Kind::NotFound),
            ("400", None) => self.error = Some(Kind::Invalid),
            ("quota", None) => self.error = Some(Kind::Quota),
            ("context", None) => self.error = Some(Kind::Context),
            ("filter", None) => self.error = Some(Kind::Filter),
            ("hugeerror", None) => self.huge = true,
            ("filter200", None) => self.filtered = Some(0),
            ("filter200", Some(_)) => self.filtered = Some(number()?),
            ("hang", None) => self.silence = Some(Silence::Hang),
            ("reset", None) => self.silence = Some(Silence::Reset),
            ("latency", _) => self.latency = millis()?,
            ("ttft", _) => self.ttft = millis()?,
            ("slow", _) => self.slow = millis()?,
            ("ping", _) => {
                self.ping = Some(millis()?).filter(|ping| !ping.is_zero());
                self.ping.ok_or_else(unknown)?;
            }
            ("stall", _) => self.breaks = Some((Break::Stall, number()?)),
            ("cut", _) => self.breaks = Some((Break::Cut, number()?)),
            ("cutat", _) => self.cut_at = Some(number()?),
            ("eof", _) => self.breaks = Some((Break::Eof, number()?)),
            ("error", _) => self.breaks = Some((Break::Error, number()?)),
            ("garbage", Some(_)) => self.breaks = Some((Break::Garbage, number()?)),
            ("garbage", None) => self.shape = Some(Shape::Garbage),
            ("html", None) => self.shape = Some(Shape::Html),
            ("empty", None) => self.shape = Some(Shape::Empty),
            ("truncated", None) => self.shape = Some(Shape::Truncated),
            ("wrongtype", None) => self.shape = Some(Shape::WrongType),
            ("nodone", None) => self.done = false,
            ("crlf", None) => self.crlf = true,
            ("comments", None) => self.comments = true,
            ("split", None) => self.split = true,
            ("tools", None) => self.calls = 1,
            ("twotools", None) => self.calls = 2,
            ("tools", Some(_)) => {
                self.calls = number()?;
                if !(1..=MAX_CALLS).contains(&self.calls) {
                    return Err(unknown());
                }
            }
            ("preamble", _) => self.preamble = number()?.min(MAX_TOKENS),
            ("tokens", _) => {
                self.tokens = number()?;
                if !(1..=MAX_TOKENS).contains(&self.tokens) {
                    return Err(unknown());
                }
            }
            ("cached", _) => self.cached = number()?,
            ("written", _) => self.written = number()?,
            ("written1h", _) => self.written_1h = number()?,
            ("text", Some(style)) => self.style = Style::named(style).ok_or_else(unknown)?,
            ("echo", None) => self.seam = Seam::Echo,
            ("overlap", _) => self.seam = Seam::Overlap(number()?),
            ("restart", None) => self.seam = Seam::Restart,
            ("noanchor", None) => self.seam = Seam::NoAnchor,
            ("paraphrase", None) => self.seam = Seam::Paraphrase,
            ("noprefill", None) => self.refuses_prefill = true,
            ("geo", Some(place)) => self.geo = Some(place.to_owned()),
            ("fail", _) => {
                self.first = Some(number()? as u64);
                self.error = Some(Kind::Server);
            }
            ("first", _) => self.first = Some(number()? as u64),
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_name_carries_several_faults() {
        let (base, plan) =
            Plan::of("gpt-4o+429=1.5+slow=20+tokens=3+text=emoji").expect("known words");
        assert_eq!(base, "gpt-4o");
        assert_eq!(plan.error, Some(Kind::RateLimit(Some(1.5))));
        assert_eq!(plan.slow, Duration::from_millis(20));
        assert_eq!((plan.tokens, plan.style), (3, Style::Emoji));
    }

    #[test]
    fn every_known_fault_is_understood() {
        for known in KNOWN {
            let fault = match known.split_once('=') {
                Some((name, "style")) => format!("{name}=ascii"),
                Some((name, _)) => format!("{name}=1"),
                None => (*known).to_owned(),
            };
            assert!(Plan::default().apply(&fault).is_ok(), "{known}");
        }
    }

    #[test]
    fn an_unknown_fault_or_argument_names_the_known_ones() {
        for bad in [
            "501",
            "slow",
            "slow=x",
            "429=-1",
            "429=inf",
            "tokens=0",
            "text=x",
            "hang=1",
            "",
            "tools=0",
            "tools=101",
            "garbage=x",
        ] {
            let error = Plan::of(&format!("m+{bad}")).unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{bad}`")) && error.contains("truncated"),
                "{error}"
            );
        }
    }
}
