use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstop_chat::Chat;
use backstop_core::BoxError;
use http::Request;
use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// Asks for a further part of an answer: readies the service, then calls it.
    #[project = AskProj]
    pub(crate) enum Ask<S>
    where
        S: Service<Request<Chat>>,
    {
        Readying { service: S, request: Option<Request<Chat>> },
        Calling { #[pin] future: S::Future },
    }
}

impl<S: Service<Request<Chat>>> Ask<S> {
    pub(crate) fn new(service: S, request: Request<Chat>) -> Self {
        Self::Readying {
            service,
            request: Some(request),
        }
    }
}

impl<S> Future for Ask<S>
where
    S: Service<Request<Chat>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                AskProj::Readying { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let request = request.take().expect("called once");
                    let future = service.call(request);
                    self.set(Self::Calling { future });
                }
                AskProj::Calling { future } => return future.poll(cx).map_err(Into::into),
            }
        }
    }
}
