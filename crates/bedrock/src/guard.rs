//! What the SDK does not watch for: it reads an error to its end, however long, and takes any bytes for a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_types::body::SdkBody;
use backstop_core::{BoxError, Failure, FailureKind};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};

/// How much of an error's body is read: more than any error of Bedrock's, less than an endless one.
const ERROR_BODY: usize = 64 * 1024;

const EVENTS: &str = "application/vnd.amazon.eventstream";

#[derive(Debug)]
pub(crate) struct Guard;

#[dyn_dispatch_hint]
impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "backstop guard"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if !response.status().is_success() {
            let inner = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(Beginning {
                inner,
                left: ERROR_BODY,
            });
            return Ok(());
        }
        let streams = config
            .load::<Metadata>()
            .is_some_and(|operation| operation.name() == "ConverseStream");
        let other = response
            .headers()
            .get("content-type")
            .is_some_and(|media| !media.starts_with(EVENTS));
        // The first letters of a page would be the length of a frame that never ends.
        if streams && other {
            let failure = Failure::new(FailureKind::ServerError)
                .with_status(StatusCode::OK)
                .with_detail("an answer that is no stream of events");
            return Err(failure.into());
        }
        Ok(())
    }
}

/// The beginning of a body, as far as it comes.
struct Beginning {
    inner: SdkBody,
    left: usize,
}

impl Body for Beginning {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        // A body that breaks off still leaves a status to classify.
        let Some(Ok(frame)) = ready!(Pin::new(&mut self.inner).poll_frame(cx)) else {
            self.left = 0;
            return Poll::Ready(None);
        };
        let left = &mut self.left;
        let frame = frame.map_data(|mut data: Bytes| {
            data.truncate(*left);
            *left -= data.len();
            data
        });
        Poll::Ready(Some(Ok(frame)))
    }
}
