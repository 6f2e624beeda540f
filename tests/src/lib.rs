//! Tests of the workspace as a whole, in `tests/`, and what they share.
