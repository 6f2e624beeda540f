//! Streams that break after their first token, through the running gateway: the client gets the known text byte for
//! byte, one id, one finish, whoever goes on and however; or a typed error, never glued text.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod case;
mod check;
mod ends;
mod many;
mod random;
mod run;
