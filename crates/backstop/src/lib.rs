//! Tower layers that keep LLM calls answered while providers fail.
