//! What the parts of an answer took, as they are billed.

use backstop_chat::Chunk;
use backstop_core::{Frame, Usage, UsageSource};

/// The usage of all parts.
#[derive(Debug, Default)]
pub(crate) struct Bill {
    /// Of the parts that are over.
    before: Option<Usage>,
    /// What the provider has said of this one.
    reported: Option<Usage>,
    /// Chunks with something in them that have come of this one: as good as any estimate of its tokens.
    chunks: u64,
}

impl Bill {
    /// Notes a chunk of the part that is under way.
    pub(crate) fn note(&mut self, chunk: &Chunk) {
        self.chunks += u64::from(chunk.is_content());
        self.reported = chunk.meta().usage.or(self.reported);
    }

    /// The part that is under way is over, and its provider has not said all: what it took, as far as is known.
    /// `asked` is how many bytes it was asked with.
    pub(crate) fn close(&mut self, asked: usize) -> Usage {
        // About four bytes a token, as English has.
        let estimate = Usage::reported(asked as u64 / 4, self.chunks);
        let mut usage = self.reported.unwrap_or(estimate);
        usage.output = usage.output.max(self.chunks);
        usage.source = match self.reported {
            Some(_) => UsageSource::Partial,
            None => UsageSource::Estimate,
        };
        let sum = self.with(usage);
        *self = Self {
            before: Some(sum),
            ..Self::default()
        };
        usage
    }

    /// All that is over.
    pub(crate) fn total(&self) -> Usage {
        self.before.unwrap_or_default()
    }

    /// All that is over, and what the provider has said of the part that is under way, if it has.
    pub(crate) fn sum(&self) -> Option<Usage> {
        self.reported.map(|usage| self.with(usage))
    }

    /// All that is over, and `usage`.
    fn with(&self, usage: Usage) -> Usage {
        match self.before {
            Some(before) => before.plus(usage),
            None => usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstop_chat::emit::Writer;

    #[test]
    fn parts_are_summed_and_what_nobody_reported_is_marked() {
        let writer = Writer::new("id", "m", 0, false);
        let mut bill = Bill::default();
        for _ in 0..3 {
            bill.note(&writer.text("x"));
        }
        let first = bill.close(400);
        assert_eq!((first.input, first.output), (100, 3));
        assert_eq!(first.source, UsageSource::Estimate);

        bill.note(&writer.usage(Usage::reported(50, 1)));
        bill.note(&writer.text("x"));
        bill.note(&writer.text("x"));
        let second = bill.close(400);
        assert_eq!((second.input, second.output), (50, 2));
        assert_eq!(second.source, UsageSource::Partial);

        let sum = bill.with(Usage::reported(7, 5));
        assert_eq!((sum.input, sum.output), (157, 10));
        assert_eq!(sum.source, UsageSource::Estimate);

        // A provider may report any number.
        let sum = bill.with(Usage::reported(u64::MAX, u64::MAX));
        assert_eq!((sum.input, sum.output), (u64::MAX, u64::MAX));
    }
}
