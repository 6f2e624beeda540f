//! Who asks, and what that allows.

use std::str::Utf8Error;
use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_budget::Spender;
use backstop_chat::Chat;
use backstop_config::ClientKey;
use backstop_core::{BoxError, Failure, FailureKind, Reach};
use futures_util::future::{Either, Ready, ready};
use http::{HeaderMap, HeaderValue, Request};
use tower::{Layer, Service};

/// How records and budgets call whoever shows the master key.
pub(crate) const MASTER: &str = "master";

/// The header that names the end user where the request's `user` does not.
const USER: &str = "x-backstop-user";

/// A longer name of a user is none: accounts are kept by it.
const LONGEST_USER: usize = 256;

/// Who asks: found out by the key that is shown, and handed on in the request's extensions.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// Nobody needs a key.
    Anyone,
    /// Whoever shows the master key.
    Master,
    /// Whoever shows a key of `keys`.
    Key(Arc<ClientKey>),
}

impl Client {
    pub(crate) fn may_use(&self, model: &str) -> bool {
        match self {
            Self::Anyone | Self::Master => true,
            Self::Key(key) => key.may_use(model),
        }
    }

    /// Whether what concerns all clients is this one's business.
    pub(crate) const fn is_operator(&self) -> bool {
        matches!(self, Self::Anyone | Self::Master)
    }

    fn spender(&self) -> Spender {
        match self {
            Self::Anyone => Spender::new(),
            Self::Master => Spender::new().key(MASTER),
            Self::Key(key) => key.spender.clone(),
        }
    }
}

/// Lets each client ask for its own models only, and says who spends and what is known of the request. It stands below
/// the edge, which has read that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntitleLayer {
    /// Whether anybody wants to know who spends.
    pub(crate) has_budgets: bool,
    /// Whether anybody wants to know what is known.
    pub(crate) has_rules: bool,
}

impl<S> Layer<S> for EntitleLayer {
    type Service = Entitle<S>;

    fn layer(&self, inner: S) -> Entitle<S> {
        Entitle {
            inner,
            wanted: *self,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entitle<S> {
    inner: S,
    wanted: EntitleLayer,
}

impl<S> Entitle<S> {
    /// Says in the request who spends, and what is known of it.
    fn entitle(&self, request: &mut Request<Chat>) -> Result<(), Failure> {
        let Some(client) = request.extensions_mut().remove::<Client>() else {
            return Ok(());
        };
        let model = request.body().model();
        if !client.may_use(model) {
            return Err(unknown(model));
        }
        // Of strangers nothing is known, nor of whoever shows the master key, who may ask on anybody's behalf.
        if self.wanted.has_rules
            && let Client::Key(key) = &client
        {
            request.extensions_mut().insert(key.labels.clone());
        }
        if self.wanted.has_budgets {
            let mut spender = client.spender();
            if let Some(user) = user(request)? {
                spender = spender.user(user);
            }
            request.extensions_mut().insert(spender);
        }
        Ok(())
    }
}

impl<S> Service<Request<Chat>> for Entitle<S>
where
    S: Service<Request<Chat>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<S::Future, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Chat>) -> Self::Future {
        match self.entitle(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(failure) => Either::Right(ready(Err(failure.into()))),
        }
    }
}

/// A model that a client may not use is one that it cannot see.
pub(crate) fn unknown(model: &str) -> Failure {
    Failure::new(FailureKind::ModelNotFound)
        .with_reach(Reach::Refused)
        .with_detail(format!(
            "the model `{model}` is not configured here, or this key may not use it; GET /v1/models lists those that \
             it may"
        ))
}

/// The end user: as the request says, or else as its header does.
fn user(request: &Request<Chat>) -> Result<Option<String>, Failure> {
    let wrong = |what: &'static str| {
        Failure::new(FailureKind::BadRequest)
            .with_reach(Reach::Refused)
            .with_detail(what)
    };
    let said: Option<String> = match request.body().member("user") {
        Some(json) => serde_json::from_str(json).map_err(|_| wrong("`user` must be text"))?,
        None => None,
    };
    // Nobody's name is empty: whoever says nothing does not get around what a proxy says of them.
    let user = match said.filter(|user| !user.is_empty()) {
        Some(user) => Some(user),
        None => named(request.headers())
            .map_err(|_| wrong("`x-backstop-user` must be text in UTF-8"))?
            .map(str::to_owned),
    };
    if user.as_ref().is_some_and(|user| user.len() > LONGEST_USER) {
        return Err(wrong("`user` is longer than 256 bytes"));
    }
    Ok(user)
}

fn named(headers: &HeaderMap) -> Result<Option<&str>, Utf8Error> {
    let named = headers.get(USER).map(HeaderValue::as_bytes);
    let named = named.map(str::from_utf8).transpose()?;
    Ok(named.filter(|user| !user.is_empty()))
}
