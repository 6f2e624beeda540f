//! Deployments that answer with a known text, break off, go on, repeat themselves and invent; and the client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstop_chat::emit::Writer;
use backstop_chat::{Body, Chat, Chunk, Continue, Continued, Finish, Mode, Prefill};
use backstop_core::{
    BoxError, Continuing, Deadline, Deployment, Failure, FailureKind, Trail, Usage,
};
use backstop_resume::{ResumeLayer, ResumeOptions};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};

pub(crate) const TEXT: &str = "The load moves over to the others, the deck stays level, and nobody crossing should have to know. 🐕 \"Quoted\"\r\n\\n";

/// What the paraphrase says instead.
const OTHER: &str = "Differently put: services reply even when their pieces break down. ";

/// How a model goes on that was asked by a user turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Style {
    /// As it was asked.
    Asked,
    /// From the beginning.
    Restart,
    /// With so many of the last characters.
    Overlap(usize),
    /// Behind words that nobody asked for.
    Preamble,
    Paraphrase,
    NoAnchor,
}

/// What one call does.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) text: &'static str,
    /// Takes prefill, and echoes it or not.
    pub(crate) prefill: Option<bool>,
    /// Says that it is this model; by default all differ.
    pub(crate) model: Option<&'static str>,
    pub(crate) style: Style,
    /// Breaks after so many chunks of text, with this failure.
    pub(crate) breaks: Option<(usize, FailureKind)>,
    /// Reports its usage.
    pub(crate) reports: bool,
    /// How long it takes to begin.
    pub(crate) delay: Duration,
    /// How long it takes for each chunk.
    pub(crate) pace: Duration,
}

pub(crate) const WHOLE: Leg = Leg {
    text: TEXT,
    prefill: None,
    model: None,
    style: Style::Asked,
    breaks: None,
    reports: true,
    delay: Duration::ZERO,
    pace: Duration::ZERO,
};

pub(crate) const PREFILLED: Leg = Leg {
    prefill: Some(false),
    ..WHOLE
};

impl Leg {
    pub(crate) fn breaking(mut self, after: usize) -> Self {
        self.breaks = Some((after, FailureKind::Network));
        self
    }
}

pub(crate) fn styled(style: Style) -> Leg {
    Leg { style, ..WHOLE }
}

pub(crate) fn breaks(after: usize) -> Leg {
    WHOLE.breaking(after)
}

/// Chunks of seven characters, whatever they are.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let pieces = chars.chunks(7);
    pieces.map(|piece| piece.iter().collect()).collect()
}

/// What a model says that is asked this, if its answer to the question is `text`.
fn say(asked: &Chat, text: &'static str, style: Style, echoes: bool) -> String {
    let asked: Value = serde_json::from_slice(asked.payload()).expect("JSON");
    let messages = asked["messages"].as_array().expect("messages");
    let turn = |back: usize| {
        let message = &messages[messages.len().checked_sub(back)?];
        Some((message["role"].as_str()?, message["content"].as_str()?))
    };
    let (prefix, quote) = match (turn(2), turn(1)) {
        (_, Some(("assistant", prefix))) => (prefix, None),
        (Some(("assistant", prefix)), Some((_, user))) => (prefix, Some(user)),
        _ => return text.to_owned(),
    };
    assert!(text.starts_with(prefix), "{prefix}");
    let Some(user) = quote else {
        return text[if echoes { 0 } else { prefix.len() }..].to_owned();
    };
    let mut starts = prefix.char_indices().map(|(at, _)| at);
    let quoted = starts.find(|at| user.contains(&prefix[*at..]));
    let quoted = &text[quoted.expect("a quotation")..];
    match style {
        Style::Asked => quoted.to_owned(),
        Style::Restart => text.to_owned(),
        Style::Overlap(chars) => {
            let skip = prefix.chars().count().saturating_sub(chars);
            text.chars().skip(skip).collect()
        }
        Style::Preamble => format!("Of course, here is the rest:\n\n{quoted}"),
        Style::Paraphrase => OTHER.repeat(8),
        Style::NoAnchor => text[prefix.len()..].to_owned(),
    }
}

/// The deployment that is asked as the `nth`.
async fn answer(leg: Leg, nth: usize, request: Request<Chat>) -> Result<Response<Body>, BoxError> {
    let extensions = request.extensions();
    let trail = Trail::of(extensions).expect("the test began one").clone();
    let model = leg.model.map_or_else(|| format!("m{nth}"), str::to_owned);
    let deployment = Deployment::new(format!("d{nth}")).with_model(&*model);
    let mut attempt = trail.attempt(&Arc::new(deployment));
    attempt.answered(None, None);
    if nth > 0 {
        let continuing = extensions.get::<Continuing>();
        assert!(continuing.is_some_and(|it| it.is_broken("d0")));
        assert!(extensions.get::<Deadline>().is_some());
    }
    let (asked, mode) = match extensions.get::<Continue>() {
        None => (request.body().clone(), None),
        Some(go_on) => {
            let prefill = leg.prefill.map(|echoes| Prefill {
                echoes,
                ..Prefill::default()
            });
            let (asked, mode) = go_on.apply(request.body(), "test", &model, prefill, None)?;
            (asked, Some(mode))
        }
    };
    let echoes = mode == Some(Mode::Prefill { echoes: true });
    let text = say(&asked, leg.text, leg.style, echoes);
    let usage = request.body().include_usage();
    let writer = Writer::new(&format!("id{nth}"), &model, nth as u64, usage);
    let mut frames: Vec<Result<Chunk, BoxError>> = vec![Ok(writer.role())];
    let all = pieces(&text);
    let broken = leg.breaks.filter(|(after, _)| *after < all.len());
    let said = broken.map_or(all.len(), |(after, _)| after);
    frames.extend(all[..said].iter().map(|piece| Ok(writer.text(piece))));
    let used = Usage::reported(10, all.len() as u64);
    if let Some((_, kind)) = leg.breaks {
        frames.push(Err(Failure::new(kind).into()));
        attempt.settle(Err(&Failure::new(kind)));
    } else {
        frames.push(Ok(writer.finish(Finish::Stop, true)));
        if leg.reports {
            frames.push(Ok(writer.usage(used)));
            attempt.used(used);
        }
        attempt.settle(Ok(()));
    }
    tokio::time::sleep(leg.delay).await;
    let mut response = Response::new(body(frames, leg.pace));
    if let Some(mode) = mode {
        response.extensions_mut().insert(Continued(mode));
    }
    Ok(response)
}

/// A body of these frames, each of which takes its time.
pub(crate) fn body(frames: Vec<Result<Chunk, BoxError>>, pace: Duration) -> Body {
    let frames = futures_util::stream::unfold(frames.into_iter(), move |mut frames| async move {
        let frame = frames.next()?;
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        Some((frame.map(Frame::data), frames))
    });
    Body::new(StreamBody::new(frames))
}

/// What the client got.
pub(crate) struct Got {
    pub(crate) text: String,
    pub(crate) bytes: String,
    pub(crate) ids: Vec<String>,
    pub(crate) finishes: Vec<String>,
    pub(crate) roles: usize,
    pub(crate) comments: Vec<String>,
    /// Signs of life.
    pub(crate) signs: usize,
    /// Tool calls: id and arguments.
    pub(crate) calls: Vec<(String, String)>,
    /// Input and output tokens of each event that shows them.
    pub(crate) usage: Vec<(u64, u64)>,
    pub(crate) error: Option<BoxError>,
    pub(crate) trail: Trail,
}

impl Got {
    pub(crate) fn kind(&self) -> Option<FailureKind> {
        let error = self.error.as_ref()?;
        backstop_core::failure_of(&**error).map(Failure::kind)
    }

    /// Why it did not go on, the last time.
    pub(crate) fn refused(&self) -> Option<String> {
        let resumes = self.trail.snapshot().resumes;
        resumes.last()?.refused.as_ref().map(ToString::to_string)
    }

    #[track_caller]
    pub(crate) fn assert_whole(&self, text: &str, why: &str) {
        assert!(self.error.is_none(), "{why}: {:?}", self.refused());
        assert_eq!(self.text, text, "{why}");
        assert_eq!(
            (&*self.finishes, self.roles),
            (&["stop".to_owned()][..], 1),
            "{why}"
        );
        assert_eq!(self.ids, ["id0"], "{why}");
    }

    /// It ended with an error, and nothing that was handed on is wrong.
    #[track_caller]
    pub(crate) fn assert_broken(&self, text: &str, why: &str) {
        assert!(self.error.is_some() && self.finishes.is_empty(), "{why}");
        assert!(text.starts_with(&self.text), "{why}: {:?}", self.text);
    }
}

/// Asks a stack of `legs`, one for each call.
pub(crate) async fn ask(
    options: ResumeOptions,
    extra: &str,
    legs: impl IntoIterator<Item = Leg>,
) -> Got {
    let legs: Mutex<(usize, VecDeque<Leg>)> = Mutex::new((0, legs.into_iter().collect()));
    stack(options, extra, move |request| {
        let mut legs = legs.lock().expect("no panic");
        let (nth, leg) = (legs.0, legs.1.pop_front());
        legs.0 += 1;
        async move {
            match leg {
                Some(leg) => answer(leg, nth, request).await,
                None => Err(Failure::new(FailureKind::Overloaded).into()),
            }
        }
    })
    .await
}

/// What a leg is told to say; `None` breaks off.
pub(crate) type Words = dyn Fn(&Writer) -> Vec<Option<Chunk>>;

/// Asks a stack of legs that say what they are told to.
pub(crate) async fn recite(options: ResumeOptions, extra: &str, legs: Vec<&Words>) -> Got {
    let calls = Mutex::new(0);
    stack(options, extra, move |request| {
        let nth = {
            let mut calls = calls.lock().expect("no panic");
            *calls += 1;
            *calls - 1
        };
        let writer = Writer::new(&format!("id{nth}"), "m", 1, false);
        let chunks = legs.get(nth).map(|leg| leg(&writer));
        let go_on = request.extensions().get::<Continue>().is_some();
        async move {
            let chunks = chunks.ok_or(Failure::new(FailureKind::Overloaded))?;
            let frames = chunks.into_iter();
            let broken = || Failure::new(FailureKind::Network).into();
            let frames = frames.map(|chunk| chunk.ok_or_else(broken)).collect();
            let mut response = Response::new(body(frames, Duration::ZERO));
            if go_on {
                let mode = Mode::Prefill { echoes: false };
                response.extensions_mut().insert(Continued(mode));
            }
            Ok(response)
        }
    })
    .await
}

/// Asks `service` for a stream, and reads it.
pub(crate) async fn stack<F, A>(options: ResumeOptions, extra: &str, service: F) -> Got
where
    F: Fn(Request<Chat>) -> A,
    A: Future<Output = Result<Response<Body>, BoxError>>,
{
    let chat = format!(
        r#"{{"model": "smart", "stream": true, "stream_options": {{"include_usage": true}} {extra}, "messages": [{{"role": "user", "content": "hi"}}]}}"#
    );
    let mut request = Request::new(Chat::parse(chat).expect("valid"));
    let trail = Trail::start();
    request.extensions_mut().insert(trail.clone());
    let service = Arc::new(service);
    let service = service_fn(move |request| service(request));
    let response = ResumeLayer::with_options(options)
        .layer(service)
        .oneshot(request)
        .await
        .expect("a first part");
    let mut got = Got {
        text: String::new(),
        bytes: String::new(),
        ids: Vec::new(),
        finishes: Vec::new(),
        roles: 0,
        comments: Vec::new(),
        signs: 0,
        calls: Vec::new(),
        usage: Vec::new(),
        error: None,
        trail,
    };
    let mut body = std::pin::pin!(response.into_body());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => got.read(frame.into_data().expect("data")),
            Err(error) => {
                got.error = Some(error);
                break;
            }
        }
    }
    assert!(body.frame().await.is_none(), "it stays ended");
    got
}

impl Got {
    fn read(&mut self, chunk: Chunk) {
        let json = chunk.json().to_vec();
        let bytes = String::from_utf8(chunk.into_bytes().to_vec()).expect("text");
        self.signs += usize::from(bytes == ":\n\n");
        let comments = bytes.lines().filter_map(|line| line.strip_prefix(": "));
        self.comments.extend(comments.map(str::to_owned));
        self.bytes.push_str(&bytes);
        let Ok(event) = serde_json::from_slice::<Value>(&json) else {
            return;
        };
        let id = event["id"].as_str().expect("an id").to_owned();
        if self.ids.last() != Some(&id) {
            self.ids.push(id);
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        self.text
            .push_str(delta["content"].as_str().unwrap_or_default());
        self.roles += usize::from(delta["role"].is_string());
        self.finishes
            .extend(choice["finish_reason"].as_str().map(str::to_owned));
        if let Some(usage) = event["usage"].as_object() {
            let tokens = |name: &str| usage[name].as_u64().expect("a count");
            self.usage
                .push((tokens("prompt_tokens"), tokens("completion_tokens")));
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
            if let Some(id) = call["id"].as_str() {
                assert_eq!(self.calls.len(), at, "each call begins once, in order");
                self.calls.push((id.to_owned(), String::new()));
            }
            let arguments = call["function"]["arguments"].as_str();
            self.calls[at].1.push_str(arguments.unwrap_or_default());
        }
    }
}

pub(crate) fn all() -> ResumeOptions {
    ResumeOptions::new().prompted(true)
}
