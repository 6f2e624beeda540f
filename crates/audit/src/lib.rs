//! Tower layers that record every request and every attempt, and sinks that do not lose the record.
