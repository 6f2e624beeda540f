//! The default HTTP client under a provider: pooled, TLS, HTTP/2 where offered.
