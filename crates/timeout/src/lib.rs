//! Tower layers for time to first token, idle time between chunks and the deadline of a whole chain.
