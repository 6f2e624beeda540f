//! Anthropic's messages API as a Backstop dialect.
