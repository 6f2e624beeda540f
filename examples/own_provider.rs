//! Providers of one's own: a wire format over any HTTP client, and a model in this process.
//!
//! The parrots' server has a format that nobody else has; `Parrot` is all that Backstop has to know of it. Behind it
//! in the chain stands a model that is no server at all, for when the parrots fail.
//!
//! ```text
//! cargo run -p backstop-examples --example own_provider
//! ```

use axum::{Router, routing::post};
use backstop::chat::emit::{self, Document, Writer};
use backstop::chat::{Decode, Finish};
use backstop::client::Client;
use backstop::{
    Body, BoxError, Chat, Chunk, Deployment, Dialect, Failure, FailureKind, Fallback, IntoTarget,
    PrimeLayer, Provider, ProviderError,
};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri, response};
use http_body_util::Full;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

/// The parrots' format: a question is plain text, its answer some lines of text and a lone dot at the end.
struct Parrot {
    url: Uri,
}

impl Dialect for Parrot {
    type Decoder = Lines;

    fn provider(&self) -> &'static str {
        "parrot"
    }

    fn encode(&self, request: &Request<Chat>) -> Result<Request<Full<Bytes>>, ProviderError> {
        let question = question(request.body())
            .ok_or_else(|| ProviderError::incapable("parrot", "it wants a question in words"))?;
        let request = Request::post(self.url.clone()).body(question.into());
        Ok(request.expect("a method and a URI are a request"))
    }

    fn decoder(&self, chat: &Chat, _: &response::Parts) -> Result<Lines, ProviderError> {
        let writer = Writer::new("parrot-1", "parrot", 0, chat.include_usage());
        let stream = chat.stream().then_some(writer);
        Ok(Lines {
            role: stream.as_ref().map(Writer::role),
            stream,
            text: String::new(),
            complete: false,
        })
    }

    fn failure(&self, answer: &Response<Bytes>) -> ProviderError {
        let kind = match answer.status().as_u16() {
            429 => FailureKind::RateLimit,
            500.. => FailureKind::ServerError,
            _ => FailureKind::BadRequest,
        };
        ProviderError::new("parrot", Failure::new(kind).with_status(answer.status()))
    }
}

/// Reads the parrots' answer, as a stream or as one document: whatever the caller asked for.
struct Lines {
    /// How a stream begins.
    role: Option<Chunk>,
    stream: Option<Writer>,
    text: String,
    complete: bool,
}

impl Decode for Lines {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if let Some(role) = self.role.take() {
            return Ok(Some(role));
        }
        while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
            let line = input.split_to(end + 1);
            let line = String::from_utf8_lossy(&line);
            self.complete = line == ".\n";
            match &self.stream {
                Some(writer) if self.complete => {
                    return Ok(Some(writer.finish(Finish::Stop, true)));
                }
                Some(writer) => return Ok(Some(writer.text(&line))),
                None if self.complete => {
                    let document = Document::new("parrot-1", "parrot", 0, &self.text);
                    return Ok(Some(document.into_chunk()));
                }
                None => self.text += &line,
            }
        }
        Ok(None)
    }

    fn finish(&mut self, _: &mut BytesMut) -> Result<Option<Chunk>, ProviderError> {
        if self.complete {
            return Ok(None);
        }
        Err(ProviderError::truncated("parrot"))
    }
}

/// A model in this process: any service of chats will do.
async fn local(request: Request<Chat>) -> Result<Response<Body>, BoxError> {
    let chat = request.body();
    let text = format!(
        "I have no parrot, but I heard: {}",
        question(chat).unwrap_or_default()
    );
    Ok(Response::new(emit::answer(chat, "local", &text)))
}

/// The text of the last message.
fn question(chat: &Chat) -> Option<String> {
    let conversation = chat.conversation().ok()?;
    let content = conversation.messages.last()?.content.as_ref()?;
    Some(content.text().into_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let url = parrots().await?;
    let parrot = Provider::new(Parrot { url }, Client::plain_http());
    let chain = Fallback::in_order([
        PrimeLayer::new()
            .layer(parrot)
            .into_target(Deployment::new("parrot")),
        service_fn(local).into_target(Deployment::new("local")),
    ]);

    for question in ["Who is a good parrot?", "Polly, be quiet!"] {
        for stream in [false, true] {
            let chat = Chat::user(question).streamed(stream);
            let answer = chain.clone().oneshot(Request::new(chat)).await?;
            let text = answer.into_body().text().await?;
            println!("{question} (streamed: {stream})");
            println!("  {}", text.trim_end().replace('\n', " "));
        }
    }
    Ok(())
}

/// Stands for the parrots' server. One that is told to be quiet breaks off before it has said a word.
async fn parrots() -> Result<Uri, BoxError> {
    let say = async |question: String| match question.contains("quiet") {
        true => String::new(),
        false => format!("{}\n.\n", question.replace(' ', "\n")),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/say", listener.local_addr()?).parse()?;
    let app = Router::new().route("/say", post(say));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}
