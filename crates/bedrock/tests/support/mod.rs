//! A Bedrock on a loopback socket that answers as it is told, and the frames of its streams.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::{Arc, Mutex};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use backstop_bedrock::{Bedrock, ConverseBody, Settings};
use backstop_chat::{Chat, Chunk};
use backstop_core::{BoxError, Failure, failure_of};
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

pub(crate) const CLAUDE: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";
pub(crate) const KEY: &str = "AKIDMARKEDKEYID";
pub(crate) const SECRET: &str = "marked-secret-access-key";
pub(crate) const TOKEN: &str = "marked-session-token";

/// What the server answers every request with.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) ending: Ending,
}

/// How an answer's body ends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ending {
    Clean,
    /// The connection is closed within the body.
    Cut,
    /// The connection is reset within the body.
    Reset,
    /// Nothing more comes.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-amzn-requestid", "request-1".to_owned()),
            ],
            pieces: vec![body.to_string().into_bytes()],
            ending: Ending::Clean,
        }
    }

    pub(crate) fn error(status: u16, name: &str, message: &str) -> Self {
        Self::json(status, &serde_json::json!({"message": message}))
            .header("x-amzn-errortype", name)
    }

    pub(crate) fn events(frames: &[Vec<u8>]) -> Self {
        Self {
            status: 200,
            headers: vec![
                (
                    "content-type",
                    "application/vnd.amazon.eventstream".to_owned(),
                ),
                ("x-amzn-requestid", "request-1".to_owned()),
            ],
            pieces: frames.to_vec(),
            ending: Ending::Clean,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Value,
}

pub(crate) struct Server {
    pub(crate) url: String,
    reply: Arc<Mutex<Reply>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    hung_up: Arc<tokio::sync::Notify>,
}

impl Server {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let reply = Arc::new(Mutex::new(reply));
        let asked = Arc::default();
        let hung_up = Arc::new(tokio::sync::Notify::new());
        let (told, log, gone) = (Arc::clone(&reply), Arc::clone(&asked), Arc::clone(&hung_up));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (told, log, gone) = (Arc::clone(&told), Arc::clone(&log), Arc::clone(&gone));
                tokio::spawn(async move {
                    // A client that goes away is what some tests are about.
                    let _ = serve(stream, &told, &log).await;
                    gone.notify_one();
                });
            }
        });
        Self {
            url,
            reply,
            asked,
            hung_up,
        }
    }

    /// Answers with `reply` from now on.
    pub(crate) fn tell(&self, reply: Reply) {
        *self.reply.lock().expect("no panic") = reply;
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }

    /// Waits until a client has closed its connection.
    pub(crate) async fn hung_up(&self) {
        self.hung_up.notified().await;
    }

    pub(crate) async fn bedrock(&self, model: &str) -> Bedrock {
        Bedrock::new(&self.settings().client().await.expect("usable"), model)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new()
            .region("us-east-1")
            .credentials(KEY, SECRET.into())
            .session_token(TOKEN.into())
            .endpoint_url(&self.url)
    }
}

async fn serve(
    mut stream: TcpStream,
    told: &Mutex<Reply>,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        let Some(end) = find(&read, b"\r\n\r\n") else {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().expect("a number"));
        while read.len() < end + 4 + length {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        let body = serde_json::from_slice(&read[end + 4..end + 4 + length]).expect("JSON");
        read.drain(..end + 4 + length);
        log.lock().expect("no panic").push(Asked { head, body });
        let reply = told.lock().expect("no panic").clone();

        let mut answer = format!(
            "HTTP/1.1 {} Told\r\ntransfer-encoding: chunked\r\n",
            reply.status
        );
        for (name, value) in &reply.headers {
            answer.extend([*name, ": ", value.as_str(), "\r\n"]);
        }
        answer.push_str("\r\n");
        stream.write_all(answer.as_bytes()).await?;
        for piece in reply.pieces.iter().filter(|piece| !piece.is_empty()) {
            stream
                .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                .await?;
            stream.write_all(piece).await?;
            stream.write_all(b"\r\n").await?;
            stream.flush().await?;
            tokio::task::yield_now().await;
        }
        match reply.ending {
            Ending::Clean => stream.write_all(b"0\r\n\r\n").await?,
            Ending::Cut => return stream.shutdown().await,
            Ending::Reset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
            Ending::Hang => {
                let mut byte = [0];
                let _ = stream.read(&mut byte).await;
                return Ok(());
            }
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// One frame of an event stream.
pub(crate) fn event(name: &str, payload: &Value) -> Vec<u8> {
    frame("event", ":event-type", name, payload.to_string())
}

pub(crate) fn exception(name: &str, payload: &Value) -> Vec<u8> {
    frame("exception", ":exception-type", name, payload.to_string())
}

fn frame(kind: &'static str, key: &'static str, name: &str, payload: String) -> Vec<u8> {
    let header = |name: &'static str, value: &str| {
        Header::new(name, HeaderValue::String(value.to_owned().into()))
    };
    let message = Message::new(payload.into_bytes())
        .add_header(header(":message-type", kind))
        .add_header(header(key, name))
        .add_header(header(":content-type", "application/json"));
    let mut out = Vec::new();
    write_message_to(&message, &mut out).expect("a frame");
    out
}

/// A chat request with these members besides the model.
pub(crate) fn chat(members: Value) -> Chat {
    let mut request = members;
    request["model"] = "smart".into();
    if request.get("messages").is_none() {
        request["messages"] = serde_json::json!([{"role": "user", "content": "hi"}]);
    }
    Chat::parse(request.to_string()).expect("a chat request")
}

pub(crate) async fn ask(bedrock: &Bedrock, chat: Chat) -> Result<Response<ConverseBody>, BoxError> {
    let mut bedrock = bedrock.clone();
    std::future::poll_fn(|cx| bedrock.poll_ready(cx)).await?;
    bedrock.call(Request::new(chat)).await
}

/// The chunks of an answer, and how it ended.
pub(crate) async fn read(response: Response<ConverseBody>) -> (Vec<Chunk>, Result<(), BoxError>) {
    let mut body = response.into_body();
    let mut chunks = Vec::new();
    loop {
        match body.frame().await {
            None => return (chunks, Ok(())),
            Some(Ok(frame)) => chunks.push(frame.into_data().expect("no trailers")),
            Some(Err(error)) => return (chunks, Err(error)),
        }
    }
}

pub(crate) fn json(chunk: &Chunk) -> Value {
    serde_json::from_slice(chunk.json()).expect("JSON")
}

/// The text of a streamed answer.
pub(crate) fn text(chunks: &[Chunk]) -> String {
    chunks
        .iter()
        .filter(|chunk| chunk.meta().text)
        .map(|chunk| {
            json(chunk)["choices"][0]["delta"]["content"]
                .as_str()
                .expect("text")
                .to_owned()
        })
        .collect()
}

pub(crate) fn failure(error: &BoxError) -> Failure {
    failure_of(&**error).expect("a classified error").clone()
}
