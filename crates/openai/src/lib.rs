//! OpenAI's chat completions, and servers compatible with it, as a Backstop dialect.
