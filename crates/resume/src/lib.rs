//! `http::Response` of chunks that breaks in the middle → one that goes on: mid-stream failover as a Tower layer.
//!
//! A provider that dies after the first token has left the caller with half an answer. [`ResumeLayer`] asks the stack
//! below again, for the rest: the deployment that broke is asked last, and the answer goes on as one stream, with one
//! id, one role, one finish, and the usage of both parts. Where the two texts meet is verified byte for byte. Where
//! that cannot be, the caller gets the failure that broke the stream: never glued text, never a silent end.
//!
//! ```
//! use backstop_chat::emit::Writer;
//! use backstop_chat::{Body, Chat, Continue, Continued, Finish, Mode};
//! use backstop_core::{BoxError, Failure, FailureKind};
//! use backstop_resume::ResumeLayer;
//! use http::{Request, Response};
//! use http_body::Frame;
//! use http_body_util::StreamBody;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // Stands for a chain of deployments: the first breaks in the middle, the second takes prefill and goes on.
//! let chain = service_fn(async |request: Request<Chat>| {
//!     let writer = Writer::new("chatcmpl-1", "some-model", 0, false);
//!     let go_on = request.extensions().get::<Continue>();
//!     let frames = match go_on {
//!         None => vec![Ok(writer.text("Hello, ")), Err(Failure::new(FailureKind::Network).into())],
//!         Some(_) => vec![Ok(writer.text("world.")), Ok(writer.finish(Finish::Stop, true))],
//!     };
//!     let frames = frames.into_iter().map(|frame: Result<_, BoxError>| frame.map(Frame::data));
//!     let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
//!     if go_on.is_some() {
//!         response.extensions_mut().insert(Continued(Mode::Prefill { echoes: false }));
//!     }
//!     Ok::<_, BoxError>(response)
//! });
//!
//! let request = Request::new(Chat::user("Greet me").streamed(true));
//! let answer = ResumeLayer::new().layer(chain).oneshot(request).await?;
//! assert_eq!(Body::new(answer.into_body()).text().await?, "Hello, world.");
//! # Ok(())
//! # }
//! ```
//!
//! # How an answer goes on
//!
//! The deployment that is asked takes the first of these that it and the [`ResumeOptions`] allow, and says which in
//! the response's extensions ([`Continued`](backstop_chat::Continued)):
//!
//! - **prefill**: the delivered text is the beginning of the assistant's turn. Exact; only some models take it.
//! - **replay**: the same request again, where its answer is determined (`temperature: 0`, or a `seed`) and the model
//!   is the same. What was delivered must come again byte for byte, and is skipped.
//! - **prompted**: a user turn quotes the last characters and asks to begin with them. Most models can; the quotation
//!   makes the seam verifiable. Off unless it is asked for.
//!
//! The caller sees one stream. Directly before the first event of a further part stands a comment, `: backstop resumed
//! mode=… deployment=… delivered=…` (how, by whom, behind how many characters), which SSE clients pass over.
//!
//! # What makes a seam sure
//!
//! By text alone, a part that begins with characters the caller has may have repeated them or gone on with the same
//! ones: "ha" may stand behind "ha" for two reasons. So a prompted part is joined only where at least 12 characters
//! stand again byte for byte up to the end of the delivered text (quoted as asked, a longer or shorter tail, the
//! whole text from its beginning, or the quotation behind a few words of the model's own, then at least 40 characters
//! of it), and only if there is one such place: where the text repeats itself, as a table does with its rows, that is
//! no place unless it was asked for. It must be found within the first 400 characters of the part; a part that starts
//! over is followed for as long as it repeats the text.
//!
//! If 1 to 11 characters stand again, or there are several places, the model has most likely done what it was asked,
//! and the text cannot tell. It is then asked once more, as if the answer had ended some 64 characters earlier: what
//! follows must be those characters, all of them, before it goes on. Once in each break; it counts as no failure of
//! the deployment, and not towards `max_resumes`. Where fewer than 12 characters were delivered in all, the request
//! is sent again as it stands, and its answer must begin with them. All else is refused: the next deployment is
//! asked, or the caller gets the failure. `lenient` accepts a part that repeats nothing, and the comment then says
//! `unverified`.
//!
//! A stop sequence of the request that begins in the delivered text and ends behind the seam ends the answer, with
//! `finish_reason: stop`. What was delivered of it stays: it cannot be taken back.
//!
//! # Tool calls
//!
//! With [`ResumeOptions::hold_tool_calls`], the pieces of a call are held back until something else begins behind it
//! (the next call, text, the end) and its arguments parse as a JSON object, which delimits itself: no beginning of one
//! parses. A cut call was then never delivered, and the answer is asked for again. Calls that are whole but for the
//! stream's end are asked for again, too, as another call may have been to come; if nobody answers, or the request
//! says `parallel_tool_calls: false`, they are handed on, with the end that was missing and a comment, `: backstop
//! completed finish=tool_calls …`. Once a call has been delivered, an answer that breaks in the middle of the next one
//! is an error. More than 1 MiB of calls is not held back but handed on as it comes.
//!
//! # What is not continued
//!
//! - Answers of several choices, with log probabilities, JSON documents (a schema or `json_object`), and those that go
//!   on from the caller's own prefill. As long as none of their text was delivered, all but the first are asked for
//!   again from the beginning.
//! - What a content filter stopped; a refusal, annotations, or a tool call in part that have been delivered.
//!
//! The caller then gets the failure that broke the stream, and the [`Trail`](backstop_core::Trail) the reason why it
//! did not go on. Of an answer that is [`Collected`](backstop_chat::Collected) it has nothing yet: that is asked for
//! again from the beginning, which a chunk with [`Meta::again`](backstop_chat::Meta::again) says. Reasoning that was
//! shown is not shown again, nor is any behind text.
//!
//! # Time
//!
//! Each further part has [`ResumeOptions::deadline`] for its first content; [`ResumeOptions::stream_deadline`] bounds
//! the whole stream. From a break on until the texts have been joined the caller gets comments, at once and then in
//! each [`ResumeOptions::keep_alive`]. There is no timer at any other time.
//!
//! # Usage
//!
//! Parts are billed by their providers one by one, so what the caller is shown at the end is their sum: a part that
//! broke counts as its provider reported, or else as its chunks and a token for each four bytes of its request. In the
//! trail such an attempt's usage is marked as partial or as an estimate.
//!
//! # Where it belongs
//!
//! Above the deadline layer and the fallback (each part of an answer has a deadline of its own), below the edge. It
//! wraps anything that answers chats, a single provider too.
//!
//! # Cost, and cancel safety
//!
//! A stream keeps a clone of the service and of the request, and the text that was delivered, up to 1 MiB, and up to
//! what the [`Room`] of all streams leaves it: what is longer is not continued. Beyond that it keeps no more than the
//! calls that are held back, and a part's text until it is joined. It boxes only what follows a break. Nothing is
//! spawned: dropping the body drops whichever part is under way. A part that has broken is dropped before the next one
//! is asked for.

pub mod body;
mod calls;
mod delivered;
pub mod future;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzz;
mod layer;
mod leg;
mod room;
mod seam;
mod service;
mod state;
mod stops;
mod timers;
mod usage;

pub use self::body::ResumeBody;
pub use self::layer::{ResumeLayer, ResumeOptions};
pub use self::room::Room;
pub use self::service::Resume;
