mod rules;

use std::fmt;
use std::fmt::Debug;
use std::hint::black_box;
use std::time::Duration;

use backstop::audit::ChannelSink;
use backstop::chat::Dialect;
use backstop::openai::OpenAi;
use backstop::{
    AttemptLayer, AuditLayer, Chat, Deadline, DeadlineLayer, Deployment, EdgeLayer, Fallback,
    PrimeLayer, Provider, RetryLayer, RetryPolicy, Target, Trail,
};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};

use crate::ready::{self, Ready};
use crate::{answer, stack};

/// Something that can be done again and again, and costs the same each time.
pub struct Case {
    /// What it is, in a table.
    pub name: &'static str,
    /// The case without what this one is about: what costs more than that is its own.
    pub over: Option<&'static str>,
    run: Box<dyn FnMut()>,
}

impl Case {
    fn new(
        name: &'static str,
        over: impl Into<Option<&'static str>>,
        run: impl FnMut() + 'static,
    ) -> Self {
        Self {
            name,
            over: over.into(),
            run: Box::new(run),
        }
    }

    /// Requests to a service, each answered to its end.
    fn requests<S, Req, B>(
        name: &'static str,
        over: impl Into<Option<&'static str>>,
        mut service: S,
        request: impl Fn() -> Req + 'static,
    ) -> Self
    where
        S: Service<Req, Response = Response<B>> + 'static,
        S::Error: Debug,
        B: Body,
        B::Error: Debug,
    {
        Self::new(name, over, move || {
            black_box(answer(&mut service, request()));
        })
    }

    /// Does it once.
    pub fn run(&mut self) {
        (self.run)();
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The case of this name.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn find(name: &str) -> Case {
    let found = all().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("no case `{name}`"))
}

/// Every case; each comes after the one that it stands on.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = layers();
    cases.extend(rules::rules());
    cases.extend(stacks());
    cases.extend(bodies());
    cases
}

/// Each layer alone.
fn layers() -> Vec<Case> {
    let bare = "bare service";
    let inside = "bare service inside a stack";
    let document = Ready::document;
    let boxed = |id| Target::new(Deployment::new(id), BoxCloneSyncService::new(document()));
    let (sink, mut records) = ChannelSink::new(64);
    let mut audited = AuditLayer::new(sink).asks().layer(document());
    let plain = chats();
    vec![
        Case::requests(bare, None, document(), chats()),
        Case::requests("prime", bare, PrimeLayer::new().layer(document()), chats()),
        Case::requests("timeout", bare, stack::timeout().layer(document()), chats()),
        Case::requests(
            "cooldown",
            bare,
            stack::cooldown("one").layer(document()),
            chats(),
        ),
        Case::requests(
            "deadline",
            bare,
            DeadlineLayer::new(Duration::from_secs(120)).layer(document()),
            chats(),
        ),
        Case::requests(
            "fallback over three boxed targets",
            bare,
            Fallback::in_order([boxed("first"), boxed("second"), boxed("third")]),
            chats(),
        ),
        Case::new("audit to a channel", bare, move || {
            black_box(answer(&mut audited, plain()));
            drop(records.try_recv());
        }),
        Case::requests(inside, None, document(), inner_chats()),
        Case::requests(
            "attempt",
            inside,
            AttemptLayer::new(Deployment::new("one")).layer(document()),
            inner_chats(),
        ),
        Case::requests(
            "retry",
            inside,
            RetryLayer::new(RetryPolicy::new()).layer(document()),
            inner_chats(),
        ),
    ]
}

/// All layers together.
fn stacks() -> Vec<Case> {
    let stack = |name, over, upstreams| {
        let (mut service, mut records) = stack::full(upstreams);
        let request = chats();
        Case::new(name, over, move || {
            black_box(answer(&mut service, request()));
            drop(records.try_recv());
        })
    };
    let of = |upstream: Ready| [upstream.clone(), upstream.clone(), upstream];
    let failover = [Ready::failing(), Ready::document(), Ready::document()];
    let (mut http, mut records) = stack::http(of(Ready::document()));
    let request = posts(1024);
    vec![
        stack("every layer", "bare service", of(Ready::document())),
        Case::requests("bare service that fails", None, Ready::failing(), chats()),
        stack(
            "every layer, the first deployment fails",
            "every layer",
            failover,
        ),
        Case::requests(
            "bare stream of 100 chunks",
            None,
            Ready::stream(100),
            chats(),
        ),
        stack(
            "every layer, a stream of 100 chunks",
            "bare stream of 100 chunks",
            of(Ready::stream(100)),
        ),
        Case::requests(
            "bare stream of 200 chunks",
            None,
            Ready::stream(200),
            chats(),
        ),
        stack(
            "every layer, a stream of 200 chunks",
            "bare stream of 200 chunks",
            of(Ready::stream(200)),
        ),
        Case::requests("bare HTTP service", None, ready::Http, posts(1024)),
        Case::requests(
            "edge, 1 KiB",
            "bare HTTP service",
            EdgeLayer::openai().layer(Ready::document()),
            posts(1024),
        ),
        Case::new(
            "edge and every layer, 1 KiB",
            "bare HTTP service",
            move || {
                black_box(answer(&mut http, request()));
                drop(records.try_recv());
            },
        ),
    ]
}

/// What grows with the size of a request.
fn bodies() -> Vec<Case> {
    let parse = |name, bytes| {
        let payload = ready::payload(bytes);
        Case::new(name, None, move || {
            black_box(Chat::parse(black_box(payload.clone())).expect("a valid request"));
        })
    };
    let forward = |name, bytes| {
        let request = Request::new(chat(bytes));
        let dialect = openai();
        Case::new(name, None, move || {
            black_box(
                dialect
                    .encode(black_box(&request))
                    .expect("a request that OpenAI takes"),
            );
        })
    };
    let provider = Provider::new(openai(), ready::Http);
    let request = chat(1024);
    vec![
        Case::requests(
            "OpenAI provider, 1 KiB",
            "bare service",
            provider,
            move || Request::new(request.clone()),
        ),
        parse("parse, 1 KiB", 1 << 10),
        parse("parse, 100 KiB", 100 << 10),
        forward("forward, 1 KiB", 1 << 10),
        forward("forward, 100 KiB", 100 << 10),
    ]
}

fn openai() -> OpenAi {
    OpenAi::keyless()
        .base_url(&Uri::from_static("http://127.0.0.1/v1"))
        .expect("a URL")
        .model("gpt-4o")
}

fn chat(bytes: usize) -> Chat {
    Chat::parse(ready::payload(bytes)).expect("a valid request")
}

/// Requests as they come to a stack.
fn chats() -> impl Fn() -> Request<Chat> {
    let chat = chat(1024);
    move || Request::new(chat.clone())
}

/// Requests as a deployment's own layers get them: the trail and the deadline are there.
fn inner_chats() -> impl Fn() -> Request<Chat> {
    let request = chats();
    move || {
        let mut request = request();
        let extensions = request.extensions_mut();
        extensions.insert(Trail::start());
        extensions.insert(Deadline::after(Duration::from_secs(120)));
        request
    }
}

fn posts(bytes: usize) -> impl Fn() -> Request<Full<Bytes>> {
    let payload = ready::payload(bytes);
    move || {
        let mut request = Request::new(Full::new(payload.clone()));
        *request.method_mut() = http::Method::POST;
        request
    }
}
