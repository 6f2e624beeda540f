//! A policy for Tower's retry layer that knows which failures are worth repeating.
