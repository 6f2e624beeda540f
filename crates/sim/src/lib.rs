//! Simulated OpenAI, Anthropic and Bedrock servers on real sockets, with faults on demand.
//!
//! [`Sim`] listens on one port and speaks three wire formats:
//!
//! | format | endpoint |
//! |---|---|
//! | OpenAI chat completions | `POST /openai/v1/chat/completions`, and below `/openai/beta` |
//! | Anthropic messages | `POST /anthropic/v1/messages` |
//! | Bedrock Converse | `POST /bedrock/model/{id}/converse` and `…/converse-stream` (binary event stream) |
//!
//! It validates requests as the provider would, so that a mapping mistake is a 400 and not a surprise in production.
//! Any key is accepted that is not empty and does not contain `bad`.
//!
//! # The script
//!
//! Every model answers with the same known text ([`text`]), one token a chunk. A conversation that already has the
//! beginning of that text, as its last assistant turn or as the one before the last user turn, gets exactly the rest;
//! if the user turn quotes the end of what is there, the quotation comes first. Ids count up, `created` stands still,
//! usage is computed: two runs with the same requests in the same order give the same bytes.
//!
//! # Faults
//!
//! A model name carries its faults behind a `+`: `gpt-4o+429=2`, `claude-sonnet-4-6+slow=20+cut=5`. Each provider
//! shows a fault in its own words, status and headers.
//!
//! | fault | shows |
//! |---|---|
//! | `500` `503` `529` `504` `429` `429=seconds` `401` `403` `404` `400` `quota` `context` `filter` | that error, as this provider reports it; `429=seconds` with a hint |
//! | `hugeerror` | a 500 whose body has 1 GiB |
//! | `filter200` `filter200=after` | a 200 that a content filter ended, after so many chunks |
//! | `hang` `reset` | accepts and never answers; resets the connection instead of answering |
//! | `latency=ms` `ttft=ms` `slow=ms` | waits before the headers, before the first chunk, before each chunk |
//! | `stall=n` `ping=ms` | falls silent after n chunks; keeps the connection alive while it waits |
//! | `cutat=n` | connection reset after n bytes of the body |
//! | `cut=n` `eof=n` `error=n` `garbage=n` | after n chunks: connection reset, clean end without the terminal, error frame (of the kind of `500`, `429`, … if one is named as well), a damaged frame (Bedrock: with a wrong checksum) and a clean end |
//! | `garbage` `html` `empty` `truncated` `wrongtype` | a 200 with no answer in it; closed in the middle; JSON where a stream was asked for, `text/plain` where JSON was |
//! | `nodone` `crlf` `comments` `split` | harmless oddities of a stream: no `[DONE]`, CRLF line ends, comment lines, chunks that end anywhere |
//! | `tools` `twotools` `tools=n` `preamble=n` | calls the first tool of the request, the first two, n of them in turn; says n tokens before |
//! | `tokens=n` `text=style` | the length (64) and kind (`ascii`, `multibyte`, `emoji`, `combining`, `crlf`, `code`) of the text |
//! | `cached=n` `written=n` `written1h=n` | so many more prompt tokens, read from the provider's cache, written to it for five minutes, for an hour |
//! | `echo` `overlap=n` `restart` `noanchor` `paraphrase` | how a continuation begins: the whole prefix again, its last n characters, from the start, without the quotation, in other words |
//! | `noprefill` | refuses a conversation that ends with the assistant, as Claude does from 4.6 on without being asked |
//! | `geo=place` | Anthropic alone: reports in its usage that it ran there |
//! | `first=n` `fail=n` | the faults hold for the first n requests of this model string; `fail=n` is `500+first=n` |
//!
//! A chunk is one token of the text, the beginning of a call, or a piece of its arguments.
//!
//! An answer that is not streamed is one body: what would come after n chunks comes in its middle, and its delays add
//! up.
//!
//! An [`Outage`] shows the same faults for a whole provider from [`Faults::begin`] to [`Faults::end`]. Over HTTP that
//! is `POST /_sim/faults` with `{"provider": "openai", "fault": "500"}` (optional: `model`, `times`), ended by
//! `"fault": null`, `""` or `"none"`; `DELETE /_sim/faults` ends all.
//!
//! # The journal
//!
//! [`Journal`] has what arrived, and how each exchange ended; [`Journal::wait_for`] waits for either without polling.
//! Over HTTP it is `GET /_sim/requests`, emptied by `DELETE`. `GET /_sim/text?model` returns [`text`].

mod admin;
mod answer;
mod anthropic;
mod bedrock;
mod body;
mod exchange;
mod faults;
mod journal;
mod openai;
mod plan;
mod provider;
mod schema;
mod script;
mod server;
mod steps;
mod turns;

pub use self::{
    faults::{Faults, Outage},
    journal::{Entry, Journal, Progress},
    plan::{KNOWN, UnknownFault},
    provider::Provider,
    script::text,
    server::Sim,
};
