//! What the tests of dialects share, each in its own crate: a request, an answer, and what became of it.
#![allow(dead_code, unreachable_pub)]

use backstop_chat::{
    Body, Chat, Chunk, Continue, Continued, Decode, Dialect, Meta, Modes, Provider, ProviderError,
};
use backstop_client::Client;
use backstop_core::{BoxError, FailureKind, Frame, Trail, failure_of};
use backstop_sim::Sim;
use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A request with these members besides a model and a message.
pub fn chat(members: Value) -> Chat {
    let mut request = json!({"model": "smart", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(members) = members else {
        panic!("the members of an object");
    };
    for (name, value) in members {
        request[name] = value;
    }
    Chat::parse(request.to_string()).expect("a request")
}

/// What `dialect` sends for `chat`, and what it noted.
pub fn sent(
    dialect: &impl Dialect,
    chat: Chat,
) -> Result<(Request<Bytes>, Vec<String>), ProviderError> {
    let trail = Trail::start();
    let mut request = Request::new(chat);
    request.extensions_mut().insert(trail.clone());
    let (head, body) = dialect.encode(&request)?.into_parts();
    let body = futures(body.collect()).expect("a full body").to_bytes();
    let notes = trail.snapshot().notes;
    let notes = notes.iter().map(ToString::to_string).collect();
    Ok((Request::from_parts(head, body), notes))
}

/// The body that `dialect` sends for `chat`, and what it noted.
pub fn sent_json(dialect: &impl Dialect, chat: Chat) -> (Value, Vec<String>) {
    let (request, notes) = sent(dialect, chat).expect("it can be said");
    let body = serde_json::from_slice(request.body()).expect("JSON");
    (body, notes)
}

fn futures<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The head of an answer.
pub fn head(content_type: Option<&str>) -> Parts {
    let mut answer = Response::builder();
    if let Some(content_type) = content_type {
        answer = answer.header("content-type", content_type);
    }
    answer.body(()).expect("a response").into_parts().0
}

/// What became of an answer.
#[derive(Debug)]
pub struct Read {
    pub chunks: Vec<Chunk>,
    pub error: Option<ProviderError>,
}

impl Read {
    pub fn kind(&self) -> Option<FailureKind> {
        self.error.as_ref().map(|error| error.failure().kind())
    }

    /// Bytes and news of every chunk.
    pub fn all(&self) -> Vec<(Bytes, Meta)> {
        self.chunks
            .iter()
            .map(|chunk| (chunk.clone().into_bytes(), *chunk.meta()))
            .collect()
    }

    /// The bytes that the caller gets.
    pub fn bytes(&self) -> String {
        let bytes: Vec<u8> = self
            .chunks
            .iter()
            .flat_map(|chunk| chunk.clone().into_bytes())
            .collect();
        String::from_utf8(bytes).expect("UTF-8")
    }

    pub fn is_proven(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.meta().terminal)
    }

    pub fn proofs(&self) -> usize {
        self.chunks
            .iter()
            .filter(|chunk| chunk.meta().terminal)
            .count()
    }
}

/// Reads an answer to `chat` that comes in these pieces.
pub fn read<'a>(
    dialect: &impl Dialect,
    chat: &Chat,
    content_type: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Read {
    let mut chunks = Vec::new();
    let mut decoder = match dialect.decoder(chat, &head(content_type)) {
        Ok(decoder) => decoder,
        Err(error) => {
            return Read {
                chunks,
                error: Some(error),
            };
        }
    };
    let mut input = BytesMut::new();
    let error = 'read: {
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut input) {
                    Ok(Some(chunk)) => chunks.push(chunk),
                    Ok(None) => break,
                    Err(error) => break 'read Some(error),
                }
            }
        }
        loop {
            match decoder.finish(&mut input) {
                Ok(Some(chunk)) => chunks.push(chunk),
                Ok(None) => break 'read None,
                Err(error) => break 'read Some(error),
            }
        }
    };
    Read { chunks, error }
}

pub async fn sim() -> Sim {
    Sim::bind("127.0.0.1:0").await.expect("loopback")
}

fn kind(error: &BoxError) -> FailureKind {
    failure_of(&**error).expect("classified").kind()
}

/// The chunks of the answer to `chat`, or how it failed: before it began, or within.
pub async fn asked<D>(provider: Provider<D, Client>, chat: Chat) -> Result<Vec<Chunk>, FailureKind>
where
    D: Dialect<Decoder: Send + 'static>,
{
    let answer = provider.oneshot(Request::new(chat)).await;
    let answer = answer.map_err(|error| kind(&error))?;
    chunks(Body::new(answer.into_body())).await
}

async fn chunks(mut body: Body) -> Result<Vec<Chunk>, FailureKind> {
    let mut chunks = Vec::new();
    while let Some(frame) = body.frame().await {
        chunks.extend(frame.map_err(|error| kind(&error))?.into_data());
    }
    assert_eq!(chunks.iter().filter(|chunk| chunk.is_terminal()).count(), 1);
    match chunks.iter().find_map(Frame::failure) {
        Some(verdict) => Err(verdict.kind()),
        None => Ok(chunks),
    }
}

/// The text of an answer.
pub fn text(chunks: &[Chunk]) -> String {
    let mut text = String::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.json().is_empty()) {
        let json: Value = serde_json::from_slice(chunk.json()).expect("JSON");
        let choice = &json["choices"][0];
        for said in [&choice["delta"], &choice["message"]] {
            text.push_str(said["content"].as_str().unwrap_or_default());
        }
    }
    text
}

pub const ALL: Modes = Modes {
    prefill: true,
    replay: true,
    prompted: true,
};

/// The rest of an answer.
#[derive(Debug)]
pub struct Rest {
    pub text: String,
    /// How it goes on.
    pub mode: &'static str,
    pub notes: Vec<String>,
}

/// The rest of an answer to `chat`, of which so many words are `delivered`; or how that failed.
pub async fn rest<D>(
    provider: Provider<D, Client>,
    chat: Chat,
    delivered: &str,
    words: u64,
    modes: Modes,
) -> Result<Rest, FailureKind>
where
    D: Dialect<Decoder: Send + 'static>,
{
    let trail = Trail::start();
    let mut request = Request::new(chat);
    let extensions = request.extensions_mut();
    extensions.insert(Continue::new(delivered, words, "another", modes));
    extensions.insert(trail.clone());
    let answer = provider.oneshot(request).await;
    let answer = answer.map_err(|error| kind(&error))?;
    let mode = answer.extensions().get::<Continued>().expect("it says how");
    let mode = mode.0.as_str();
    let notes = trail.snapshot().notes;
    Ok(Rest {
        text: text(&chunks(Body::new(answer.into_body())).await?),
        mode,
        notes: notes.iter().map(ToString::to_string).collect(),
    })
}

/// The requests that arrived.
pub fn arrived(sim: &Sim) -> Vec<Value> {
    let entries = sim.journal().entries();
    let bodies = entries.iter().map(|entry| &entry.body);
    bodies
        .map(|body| serde_json::from_slice(body).expect("JSON"))
        .collect()
}

/// Where a text may break off: behind each character but the first few, which are white space perhaps.
pub fn places(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.char_indices()
        .map(|(at, _)| at)
        .filter(|at| !text[..*at].trim().is_empty())
}
