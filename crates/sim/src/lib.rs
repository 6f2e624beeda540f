//! Simulated OpenAI, Anthropic and Bedrock servers on real sockets, with faults on demand.
