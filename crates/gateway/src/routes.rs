//! Which request gets which answer.

use backstop_core::{Outcome, Trail};
use backstop_edge::Rejection;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::json;

use crate::gateway::Gateway;
use crate::stack::ResponseBody;
use crate::upload::Upload;
use crate::{accounts, auth, models};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-backstop-request-id");

impl Gateway {
    /// Answers one request; every failure is an answer too.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let path = request.uri().path();
        if let "/v1/chat/completions" | "/chat/completions" = path {
            let chat = self.front().chat.clone();
            let mut request = request.map(Upload::new);
            let trail = Trail::of_or_start(request.extensions_mut());
            let response = chat.answer(request).await;
            self.troubles().answered(response.status(), &trail);
            return response;
        }
        let trail = Trail::start();
        let mut response = match path {
            "/health/liveness" => health(Ok(())),
            "/health/readiness" => health(self.readiness()),
            "/v1/models" | "/models" => self.models(&request, &trail, None),
            "/budgets" => self.budgets(&request, &trail).await,
            _ => {
                let name = path
                    .strip_prefix("/v1/models/")
                    .or_else(|| path.strip_prefix("/models/"));
                match name {
                    Some(name) if !name.is_empty() => self.models(&request, &trail, Some(name)),
                    _ => nothing_here(&trail),
                }
            }
        };
        if let Ok(id) = HeaderValue::from_str(trail.id()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.map(|body| Either::Right(Either::Right(body)))
    }

    /// All models, or the one with that name, for whoever may ask.
    fn models(
        &self,
        request: &Request<Incoming>,
        trail: &Trail,
        name: Option<&str>,
    ) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return only_read(trail);
        }
        let front = self.front();
        let client = match front.keys.admit(request.headers(), trail) {
            Ok(client) => client,
            Err(rejection) => return auth::refused(rejection, trail),
        };
        let (mut names, created) = (front.live.models(), self.started());
        names.retain(|name| client.may_use(name));
        match name {
            None => answer(StatusCode::OK, models::list(&names, created)),
            Some(name) => match models::one(&names, name, created) {
                Ok(model) => answer(StatusCode::OK, model),
                Err(rejection) => rejection.respond(trail).map(Full::new),
            },
        }
    }

    /// How the accounts of all budgets stand, for whoever has the master key.
    async fn budgets(&self, request: &Request<Incoming>, trail: &Trail) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return only_read(trail);
        }
        let admitted = self.front().keys.admit_operator(request.headers(), trail);
        if let Err(rejection) = admitted {
            return auth::refused(rejection, trail);
        }
        match self.live().balances().await {
            Ok(balances) => answer(StatusCode::OK, accounts::list(&balances)),
            Err(unavailable) => Rejection::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ledger_unavailable",
                unavailable.to_string(),
                Outcome::UpstreamError,
            )
            .respond(trail)
            .map(Full::new),
        }
    }
}

fn health(state: Result<(), &'static str>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => answer(StatusCode::OK, json!({"status": "ok"}).to_string()),
        Err(why) => {
            let body = json!({"status": "unavailable", "reason": why}).to_string();
            answer(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

fn only_read(trail: &Trail) -> Response<Full<Bytes>> {
    let message = "this is asked for with GET";
    let rejection = Rejection::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
        Outcome::ClientError,
    );
    let mut response = rejection.respond(trail).map(Full::new);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn nothing_here(trail: &Trail) -> Response<Full<Bytes>> {
    let message =
        "there is nothing under this path; chat completions are under POST /v1/chat/completions";
    Rejection::new(
        StatusCode::NOT_FOUND,
        "unknown_url",
        message,
        Outcome::ClientError,
    )
    .respond(trail)
    .map(Full::new)
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
