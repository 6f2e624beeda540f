//! The simulator's own endpoints, under `/_sim`.

use crate::{
    body::ScriptBody,
    faults::Outage,
    journal::Entry,
    plan::Plan,
    provider::{Provider, decoded},
    script::text,
    server::World,
};
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE, request};
use serde_json::{Value, json};

pub(crate) fn answer(world: &World, parts: &request::Parts, body: &[u8]) -> Response<ScriptBody> {
    let path = parts.uri.path().strip_prefix("/_sim").unwrap_or_default();
    match (&parts.method, path) {
        (&Method::GET, "/requests") => {
            let entries: Vec<_> = world.journal.entries().iter().map(Entry::to_json).collect();
            reply(StatusCode::OK, &Value::from(entries))
        }
        (&Method::DELETE, "/requests") => {
            world.journal.clear();
            reply(StatusCode::OK, &json!({}))
        }
        (&Method::POST, "/faults") => match fault(world, body) {
            Ok(()) => reply(StatusCode::OK, &json!({})),
            Err(message) => reply(
                StatusCode::BAD_REQUEST,
                &json!({"error": {"message": message}}),
            ),
        },
        (&Method::DELETE, "/faults") => {
            world.faults.clear();
            reply(StatusCode::OK, &json!({}))
        }
        (&Method::GET, "/text") => {
            let model = decoded(parts.uri.query().unwrap_or_default());
            match Plan::of(&model) {
                Ok(_) => reply(StatusCode::OK, &json!({"text": text(&model)})),
                Err(unknown) => reply(
                    StatusCode::BAD_REQUEST,
                    &json!({"error": {"message": unknown.to_string()}}),
                ),
            }
        }
        _ => reply(
            StatusCode::NOT_FOUND,
            &json!({"error": {"message": "known: GET and DELETE /_sim/requests, POST and DELETE /_sim/faults, GET /_sim/text?model"}}),
        ),
    }
}

/// `{"provider", "fault", "model"?, "times"?}`; a `fault` of `null`, `""` or `"none"` ends what there is.
fn fault(world: &World, body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let provider = json["provider"]
        .as_str()
        .and_then(Provider::named)
        .ok_or("`provider` is one of openai, anthropic, bedrock")?;
    let model = json["model"].as_str();
    match &json["fault"] {
        Value::Null => world.faults.end(provider, model),
        Value::String(none) if matches!(none.as_str(), "" | "none") => {
            world.faults.end(provider, model);
        }
        Value::String(faults) => {
            let mut outage =
                Outage::new(provider, faults.clone()).map_err(|unknown| unknown.to_string())?;
            if let Some(model) = model {
                outage = outage.model(model);
            }
            if let Some(times) = json["times"].as_u64() {
                outage = outage.times(times);
            }
            world.faults.begin(outage);
        }
        _ => return Err("`fault` is a string or null".to_owned()),
    }
    Ok(())
}

fn reply(status: StatusCode, json: &Value) -> Response<ScriptBody> {
    let mut response = Response::new(ScriptBody::full(json.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
