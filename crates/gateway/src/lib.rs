//! The backstop command: a gateway, its simulator and its demo.
