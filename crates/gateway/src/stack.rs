//! The services that a chat request passes, outermost first: record, client key, OpenAI's format, what the key allows,
//! chains.

use backstop_audit::{
    Audit, AuditBody, AuditLayer, AuditUnavailable, JsonLines, JsonLinesSlot, Respond,
};
use backstop_chat::Body;
use backstop_config::{General, Live};
use backstop_core::{Outcome, Trail};
use backstop_edge::{Edge, EdgeBody, EdgeLayer, Rejection};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::{Layer, ServiceExt};

use crate::auth::{Authenticate, ClientKeys, MaybeRefused};
use crate::client::{Entitle, EntitleLayer};
use crate::upload::Upload;

type Unrecorded = Authenticate<Edge<Entitle<Live>>>;
type Recorded = Audit<Unrecorded, JsonLines, Respond<fn(AuditUnavailable) -> Response<ChatBody>>>;

/// What the chat route answers with, before it is recorded.
type ChatBody = MaybeRefused<EdgeBody<Body>>;

/// What every route answers with.
pub(crate) type ResponseBody = Either<AuditBody<ChatBody, JsonLinesSlot>, ChatBody>;

/// The chat route, for one configuration.
#[derive(Clone, Debug)]
pub(crate) enum ChatRoute {
    Recorded(Recorded),
    Unrecorded(Unrecorded),
}

impl ChatRoute {
    pub(crate) fn new(
        general: &General,
        keys: &ClientKeys,
        entitle: EntitleLayer,
        live: Live,
        audit: Option<JsonLines>,
    ) -> Self {
        let edge = EdgeLayer::openai()
            .body_limit(general.max_request_bytes)
            .expose_attempts(general.expose_attempts)
            .expose_served_by(general.expose_served_by);
        let service = keys.layer(edge.layer(entitle.layer(live)));
        match audit {
            Some(records) => {
                let respond: fn(AuditUnavailable) -> Response<ChatBody> = unavailable;
                Self::Recorded(AuditLayer::new(records).respond(respond).layer(service))
            }
            None => Self::Unrecorded(service),
        }
    }

    pub(crate) async fn answer(self, request: Request<Upload<Incoming>>) -> Response<ResponseBody> {
        match self {
            Self::Recorded(service) => {
                let Ok(response) = service.oneshot(request).await;
                response.map(Either::Left)
            }
            Self::Unrecorded(service) => {
                let Ok(response) = service.oneshot(request).await;
                response.map(Either::Right)
            }
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the audit layer hands it over"
)]
fn unavailable(why: AuditUnavailable) -> Response<ChatBody> {
    let rejection = Rejection::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "audit_unavailable",
        why.to_string(),
        // Nobody records it.
        Outcome::UpstreamError,
    );
    rejection
        .respond(&Trail::start())
        .map(|body| Either::Right(Full::new(body)))
}
