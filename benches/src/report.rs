//! The tables, in Markdown.

use std::fmt::{self, Write};

/// The middle one of all rounds; not a number without any.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// The middle one of the ratios of each round: what disturbs a round disturbs both of its numbers.
#[must_use]
pub fn ratio(of: &[f64], to: &[f64]) -> f64 {
    let ratios: Vec<_> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    median(&ratios)
}

/// What passes or fails: ratios and counts, which hold on any machine.
#[derive(Debug)]
pub struct Gate {
    /// What is measured.
    pub what: &'static str,
    /// What it has to be.
    pub bound: &'static str,
    /// What it is.
    pub measured: String,
    /// Whether that is within the bound.
    pub passed: bool,
}

/// Tables, and whether a gate in them has failed.
#[derive(Debug, Default)]
pub struct Report {
    text: String,
    failed: bool,
}

impl Report {
    /// Adds a row.
    pub fn row<I>(&mut self, cells: I)
    where
        I: IntoIterator<Item: fmt::Display>,
    {
        for cell in cells {
            let _ = write!(self.text, "| {cell} ");
        }
        self.text += "|\n";
    }

    /// Adds a line of text.
    pub fn line(&mut self, text: &str) {
        self.text += text;
        self.text += "\n";
    }

    /// Adds the table of gates.
    pub fn gates(&mut self, gates: &[Gate]) {
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

    /// Whether a gate has failed.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
