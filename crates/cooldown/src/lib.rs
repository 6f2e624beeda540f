//! A Tower layer that rests a failing deployment and probes it before it returns: a circuit breaker.
