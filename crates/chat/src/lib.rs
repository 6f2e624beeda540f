//! The seam between Tower layers and LLM providers: a chat request, chunks of an answer, dialects and framing.
