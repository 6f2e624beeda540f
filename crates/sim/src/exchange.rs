//! From a request to its answer, in any of the formats.

use crate::{
    admin,
    answer::{Answer, Ask},
    anthropic::Anthropic,
    bedrock::Bedrock,
    body::{Exchange, ScriptBody, Step},
    journal::{Entry, Progress},
    openai::OpenAi,
    plan::{Break, Kind, Plan, Shape, Silence},
    provider::{Api, Failure},
    server::{Line, World},
    steps::{cut_at, streamed, whole},
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
    } else if let Some(path) = ["/openai/v1", "/openai/beta"]
        .iter()
        .find_map(|base| path.strip_prefix(base))
    {
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
    let checked = if call.is_none() || parts.method != Method::POST {
        let message = format!("Invalid URL ({} {})", parts.method, parts.uri.path());
        Err(Failure::from(Kind::NotFound).says(message))
    } else if !key_ok {
        Err(Kind::Auth.into())
    } else {
        check::<A>(&parts.headers, &model, json)
    };
    match checked {
        Ok((mut ask, plan)) => {
            base.clone_into(&mut ask.base);
            ask.stream = stream;
            ask.plan = world.faults.plan(A::PROVIDER, &model, base, plan);
            reply::<A>(ask, exchange).await
        }
        Err(failure) => failed::<A>(exchange, &failure, base),
    }
}

fn check<A: Api>(
    headers: &HeaderMap,
    model: &str,
    json: Option<Value>,
) -> Result<(Ask, Plan), Failure> {
    let json =
        json.ok_or_else(|| Failure::invalid("We could not parse the JSON body of your request."))?;
    let (base, plan) = Plan::of(model).map_err(|unknown| Failure::invalid(unknown.to_string()))?;
    Ok((A::check(headers, base, &json)?, plan))
}

async fn reply<A: Api>(mut ask: Ask, exchange: Exchange) -> Response<ScriptBody> {
    let (seq, stream) = (exchange.seq, ask.stream);
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
    if plan.refuses_prefill && ask.given.is_last() {
        let refusal = Failure::invalid(A::NO_PREFILL);
        return failed::<A>(exchange, &refusal, &ask.base);
    }
    let breaks_with_error = matches!(plan.breaks, Some((Break::Error, _)));
    match plan.error {
        Some(Kind::Filter) if A::FILTERS_IN_200 => plan.filtered = Some(0),
        _ if stream && breaks_with_error => {}
        Some(kind) => return failed::<A>(exchange, &kind.into(), &ask.base),
        None if breaks_with_error => return failed::<A>(exchange, &Kind::Server.into(), &ask.base),
        None => {}
    }

    let answer = Answer::to(&ask);
    let plan = &ask.plan;
    let piece = |kind, bytes| {
        let (steps, length) = whole(plan, bytes);
        (kind, steps, length)
    };
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
        Some(Shape::WrongType) if stream => piece(JSON, A::whole(&ask, &answer, seq)),
        Some(Shape::WrongType) => piece("text/plain; charset=utf-8", A::whole(&ask, &answer, seq)),
        Some(Shape::Truncated) | None if stream => {
            let frames = A::frames(&ask, &answer, seq);
            (A::STREAM, streamed::<A>(plan, &ask.base, frames), None)
        }
        Some(Shape::Truncated) | None => {
            let bytes = A::whole(&ask, &answer, seq);
            let each = u32::try_from(answer.tokens()).unwrap_or(u32::MAX);
            pause(plan.ttft + plan.slow * each).await;
            piece(JSON, bytes)
        }
    };
    let steps = match plan.cut_at {
        Some(bytes) => cut_at(steps, bytes),
        None => steps,
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
