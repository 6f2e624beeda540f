//! The tables, in Markdown.

use std::fmt::{self, Write};

/// One target's numbers in one kind of load, a value per round.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) rate: Vec<f64>,
    pub(crate) p50: Vec<f64>,
    pub(crate) p99: Vec<f64>,
    /// Microseconds of processor time for a request.
    pub(crate) cpu: Vec<f64>,
}

/// The middle one of all rounds; not a number without any.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// The middle one of the ratios of each round: what disturbs a round disturbs both of its numbers.
pub(crate) fn ratio(of: &[f64], to: &[f64]) -> f64 {
    let ratios: Vec<_> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    median(&ratios)
}

pub(crate) struct Gate {
    pub(crate) what: &'static str,
    pub(crate) bound: &'static str,
    pub(crate) measured: String,
    pub(crate) passed: bool,
}

#[derive(Default)]
pub(crate) struct Report {
    text: String,
    failed: bool,
}

impl Report {
    pub(crate) fn row<I>(&mut self, cells: I)
    where
        I: IntoIterator<Item: fmt::Display>,
    {
        for cell in cells {
            let _ = write!(self.text, "| {cell} ");
        }
        self.text += "|\n";
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.text += text;
        self.text += "\n";
    }

    pub(crate) fn gates(&mut self, gates: &[Gate]) {
        self.row(["gate", "bound", "measured", ""]);
        self.line("|---|---|---|---|");
        for Gate {
            what,
            bound,
            measured,
            passed,
        } in gates
        {
            let verdict = if *passed { "PASS" } else { "FAIL" };
            self.row([*what, *bound, measured, verdict]);
            self.failed |= !passed;
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
