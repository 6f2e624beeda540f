//! A Tower layer that holds a response until its first content.
