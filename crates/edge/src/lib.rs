//! OpenAI's HTTP format in front of any Backstop chat service.
