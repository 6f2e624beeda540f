//! From a request to its answer, in any of the formats.

use crate::{
    admin,
    answer::Answer,
    anthropic::Anthropic,
    bedrock::Bedrock,
    body::{Exchange, ScriptBody, Step},
    faults::{Break, Kind, Plan, Shape, Silence},
    journal::{Entry, Progress},
    openai::OpenAi,
    provider::{Api, Failure, Frame},
    server::{Line, World},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE, request,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

const JSON: &str = "application/json";
const HUGE_PIECE: usize = 64 << 10;
const HUGE: u64 = 1 << 30;

/// Answers one request of one connection.
pub(crate) async fn answer(
    world: &World,
    line: &Arc<Line>,
    request: Request<Incoming>,
) -> Result<Response<ScriptBody>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path();
    let response = if path.starts_with("/_sim/") {
        admin::answer(world, &parts, &body)
    } else if let Some(path) = path.strip_prefix("/openai/v1") {
        post::<OpenAi>(world, line, &parts, path, body).await
    } else if let Some(path) = path.strip_prefix("/anthropic") {
        post::<Anthropic>(world, line, &parts, path, body).await
    } else if let Some(path) = path.strip_prefix("/bedrock") {
        post::<Bedrock>(world, line, &parts, path, body).await
    } else {
        let mut response = Response::new(ScriptBody::full(
            "the simulator serves /openai/v1, /anthropic, /bedrock and /_sim\n",
        ));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    };
    Ok(response)
}

async fn post<A: Api>(
    world: &World,
    line: &Arc<Line>,
    parts: &request::Parts,
    path: &str,
    body: Bytes,
) -> Response<ScriptBody> {
    let json = serde_json::from_slice::<Value>(&body).ok();
    let call = A::call(path, json.as_ref().unwrap_or(&Value::Null));
    let (model, stream) = call.clone().unwrap_or_default();
    let key = A::key(&parts.headers).filter(|key| !key.is_empty());
    let key_ok = key.is_some_and(|key| !key.contains("bad") && !key.contains("BAD"));

    let seq = world.journal.open(|seq| Entry {
        seq,
        provider: A::PROVIDER,
        path: parts.uri.path().to_owned(),
        model: model.clone(),
        stream,
        content_length: content_length(&parts.headers),
        has_key: ["authorization", "x-api-key"]
            .iter()
            .any(|name| parts.headers.contains_key(*name)),
        key_ok,
        status: None,
        progress: Progress::Open,
        body,
    });
    let exchange = Exchange::new(Arc::clone(&world.journal), Arc::clone(line), seq);

    let base = model.split('+').next().unwrap_or_default();
    let fail = |exchange, failure: &Failure| failed::<A>(exchange, failure, base);
    if call.is_none() || parts.method != Method::POST {
        let missing = Failure::from(Kind::NotFound).says(format!(
            "Invalid URL ({} {})",
            parts.method,
            parts.uri.path()
        ));
        return fail(exchange, &missing);
    }
    if !key_ok {
        return fail(exchange, &Kind::Auth.into());
    }
    let Some(json) = json else {
        return fail(
            exchange,
            &Failure::invalid("We could not parse the JSON body of your request."),
        );
    };
    let plan = match Plan::of(&model) {
        Ok((_, plan)) => plan,
        Err(unknown) => return fail(exchange, &Failure::invalid(unknown.to_string())),
    };
    let mut ask = match A::check(&parts.headers, base, &json) {
        Ok(ask) => ask,
        Err(failure) => return fail(exchange, &failure),
    };
    base.clone_into(&mut ask.base);
    ask.stream = stream;
    ask.plan = world.faults.plan(A::PROVIDER, &model, base, plan);
    let plan = &mut ask.plan;

    pause(plan.latency).await;
    match plan.silence {
        Some(Silence::Hang) => return std::future::pending().await,
        Some(Silence::Reset) => match exchange.reset().await {},
        None => {}
    }
    if plan.huge {
        return huge::<A>(exchange);
    }
    if A::FILTERS_IN_200 && plan.error == Some(Kind::Filter) {
        plan.filtered = Some(0);
    } else if let Some(kind) = plan.error
        && !(stream && matches!(plan.breaks, Some((Break::Error, _))))
    {
        return fail(exchange, &kind.into());
    } else if !stream && matches!(plan.breaks, Some((Break::Error, _))) {
        return fail(exchange, &Kind::Server.into());
    }

    let answer = Answer::to(&ask);
    let plan = &ask.plan;
    let (kind, steps, length) = match plan.shape {
        Some(Shape::Garbage) => {
            let garbage = Bytes::from_static(b"\0\xff\xfe}garbage{\n\ndata: {\"not json\n\n");
            (
                if stream { A::STREAM } else { JSON },
                vec![Step::Send(garbage)],
                None,
            )
        }
        Some(Shape::Html) => {
            let page = Bytes::from_static(
                b"<!doctype html>\n<html><body><h1>It works!</h1></body></html>\n",
            );
            ("text/html; charset=utf-8", vec![Step::Send(page)], None)
        }
        Some(Shape::Empty) => (if stream { A::STREAM } else { JSON }, Vec::new(), Some(0)),
        Some(Shape::WrongType) if stream => whole::<A>(plan, JSON, A::whole(&ask, &answer, seq)),
        Some(Shape::WrongType) => whole::<A>(
            plan,
            "text/plain; charset=utf-8",
            A::whole(&ask, &answer, seq),
        ),
        Some(Shape::Truncated) | None if stream => {
            let frames = A::frames(&ask, &answer, seq);
            (A::STREAM, streamed::<A>(plan, &ask.base, frames), None)
        }
        Some(Shape::Truncated) | None => {
            let bytes = A::whole(&ask, &answer, seq);
            let each = u32::try_from(answer.tokens()).unwrap_or(u32::MAX);
            pause(plan.ttft + plan.slow * each).await;
            whole::<A>(plan, JSON, bytes)
        }
    };
    respond::<A>(
        exchange,
        StatusCode::OK,
        HeaderMap::new(),
        kind,
        steps,
        length,
    )
}

async fn pause(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(http::header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn respond<A: Api>(
    exchange: Exchange,
    status: StatusCode,
    headers: HeaderMap,
    kind: &'static str,
    steps: Vec<Step>,
    length: Option<u64>,
) -> Response<ScriptBody> {
    exchange.status(status);
    let seq = exchange.seq;
    let mut response = Response::new(ScriptBody::new(steps, length, Some(exchange)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    A::headers(seq, response.headers_mut());
    response
}

fn failed<A: Api>(exchange: Exchange, failure: &Failure, base: &str) -> Response<ScriptBody> {
    let report = A::error(failure, base, exchange.seq);
    let body = Bytes::from(report.body);
    let length = Some(body.len() as u64);
    respond::<A>(
        exchange,
        report.status,
        report.headers,
        JSON,
        vec![Step::Send(body)],
        length,
    )
}

/// An error body of a gibibyte, made while it is sent.
fn huge<A: Api>(exchange: Exchange) -> Response<ScriptBody> {
    let opening = Bytes::from_static(b"{\"error\":{\"message\":\"");
    let rest = HUGE - opening.len() as u64;
    let piece = Bytes::from(vec![b'x'; HUGE_PIECE]);
    let last = piece.slice(..(rest % HUGE_PIECE as u64) as usize);
    let steps = vec![
        Step::Send(opening),
        Step::Repeat(piece, rest / HUGE_PIECE as u64),
        Step::Send(last),
    ];
    respond::<A>(
        exchange,
        StatusCode::INTERNAL_SERVER_ERROR,
        HeaderMap::new(),
        JSON,
        steps,
        Some(HUGE),
    )
}

/// A body in one piece, or what a fault leaves of it.
fn whole<A: Api>(
    plan: &Plan,
    kind: &'static str,
    bytes: Bytes,
) -> (&'static str, Vec<Step>, Option<u64>) {
    let length = Some(bytes.len() as u64);
    let half = || Step::Send(bytes.slice(..bytes.len() / 2));
    let (steps, length) = match (plan.shape, plan.breaks) {
        (Some(Shape::Truncated), _) => (vec![half(), Step::Close], length),
        (_, Some((Break::Cut, _))) => (vec![half(), Step::Reset], length),
        (_, Some((Break::Stall, _))) => (vec![half(), Step::Stall(None)], length),
        (_, Some((Break::Eof, _))) => (vec![half()], None),
        _ => (vec![Step::Send(bytes)], length),
    };
    (kind, steps, length)
}

/// A stream's frames with the waits between them, up to where a fault ends them.
fn streamed<A: Api>(plan: &Plan, base: &str, frames: Vec<Frame>) -> Vec<Step> {
    let ping = plan.ping.and_then(|every| Some((every, A::ping()?)));
    let total = frames.iter().filter(|frame| frame.content).count();
    let breaks = match plan.shape {
        // In the middle of the third chunk.
        Some(Shape::Truncated) => Some((None, 2)),
        _ => plan.breaks.map(|(how, after)| (Some(how), after)),
    };
    let breaks = breaks.map(|(how, after)| (how, after.min(total)));

    let mut steps = Vec::with_capacity(frames.len());
    let mut sent = 0;
    for frame in frames {
        let breakable = frame.content || sent == total;
        if let Some((how, _)) = breaks.filter(|(_, after)| breakable && *after == sent) {
            match how {
                None => {
                    let half = frame.bytes.len() / 2;
                    steps.extend([Step::Send(frame.bytes.slice(..half)), Step::Close]);
                }
                Some(Break::Stall) => steps.push(Step::Stall(ping)),
                Some(Break::Cut) => steps.push(Step::Reset),
                Some(Break::Eof) => {}
                Some(Break::Error) => {
                    steps.extend(
                        A::error_frames(plan.error, base)
                            .into_iter()
                            .map(Step::Send),
                    );
                }
            }
            return dressed(plan, steps);
        }
        if frame.content {
            let pause = if sent == 0 {
                plan.ttft + plan.slow
            } else {
                plan.slow
            };
            wait(&mut steps, pause, ping.as_ref());
            sent += 1;
        }
        steps.push(Step::Send(frame.bytes));
    }
    dressed(plan, steps)
}

fn wait(steps: &mut Vec<Step>, mut pause: Duration, ping: Option<&(Duration, Bytes)>) {
    if let Some((every, bytes)) = ping {
        while pause > *every {
            steps.extend([Step::Wait(*every), Step::Send(bytes.clone())]);
            pause -= *every;
        }
    }
    if !pause.is_zero() {
        steps.push(Step::Wait(pause));
    }
}

/// The same bytes in an odd form that means the same.
fn dressed(plan: &Plan, mut steps: Vec<Step>) -> Vec<Step> {
    if plan.comments {
        steps = rewritten(steps, |bytes| match is_sse(&bytes) {
            true => vec![Bytes::from_static(b": sim\n\n"), bytes],
            false => vec![bytes],
        });
    }
    if plan.crlf {
        steps = rewritten(steps, |bytes| match std::str::from_utf8(&bytes) {
            Ok(text) if is_sse(&bytes) => vec![text.replace('\n', "\r\n").into()],
            _ => vec![bytes],
        });
    }
    if plan.split {
        // A prime, so that the ends fall inside lines, JSON, frames and characters alike.
        steps = rewritten(steps, |bytes| {
            bytes
                .chunks(7)
                .map(|piece| bytes.slice_ref(piece))
                .collect()
        });
    }
    steps
}

fn is_sse(bytes: &[u8]) -> bool {
    [&b"data:"[..], b"event:", b":"]
        .iter()
        .any(|start| bytes.starts_with(start))
}

fn rewritten(steps: Vec<Step>, rewrite: impl Fn(Bytes) -> Vec<Bytes>) -> Vec<Step> {
    let rewrite = |step| match step {
        Step::Send(bytes) => rewrite(bytes).into_iter().map(Step::Send).collect(),
        other => vec![other],
    };
    steps.into_iter().flat_map(rewrite).collect()
}
