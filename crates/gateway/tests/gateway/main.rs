//! The command `backstop`, as its users meet it.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod commands;
mod config;
mod connections;
mod health;
mod leaving;
mod models;
mod records;
mod reload;
mod requests;
mod secrets;
mod shutdown;
