//! Client keys.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use backstop_config::ClientKey;
use backstop_core::{Outcome, Trail};
use backstop_edge::Rejection;
use bytes::Bytes;
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapOk, Ready, ready};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either as EitherBody, Full};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tower::{Layer, Service};

use crate::client::{Client, MASTER};

/// The headers that clients of OpenAI, Azure and Anthropic put their keys in.
const BARE: [&str; 2] = ["api-key", "x-api-key"];

/// Who may ask: whoever shows one of the keys, or everybody where none is configured.
#[derive(Clone)]
pub(crate) struct ClientKeys(Arc<Known>);

struct Known {
    master: Option<SecretString>,
    keys: Vec<Arc<ClientKey>>,
}

impl ClientKeys {
    pub(crate) fn new(master: Option<SecretString>, keys: &[ClientKey]) -> Self {
        let keys = keys.iter().cloned().map(Arc::new).collect();
        Self(Arc::new(Known { master, keys }))
    }

    /// Who it is that asks, by the key that the request shows; the trail learns whose.
    pub(crate) fn admit(&self, headers: &HeaderMap, trail: &Trail) -> Result<Client, Rejection> {
        if !self.is_needed() {
            return Ok(Client::Anyone);
        }
        let mut any = false;
        for shown in shown(headers) {
            any = true;
            match self.0.whose(shown) {
                Some(Client::Key(key)) => {
                    trail.asked_by(Arc::clone(&key.id));
                    return Ok(Client::Key(key));
                }
                Some(client) => {
                    trail.asked_by(MASTER);
                    return Ok(client);
                }
                None => {}
            }
        }
        let message = if any {
            "this key is not known here"
        } else {
            "a key is needed: `Authorization: Bearer <key>`"
        };
        Err(Rejection::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            message,
            Outcome::RejectedAuth,
        ))
    }

    /// Whether nobody is admitted without a key.
    fn is_needed(&self) -> bool {
        self.0.master.is_some() || !self.0.keys.is_empty()
    }

    /// As [`admit`](Self::admit), for what concerns all clients: only the master key will do.
    pub(crate) fn admit_operator(
        &self,
        headers: &HeaderMap,
        trail: &Trail,
    ) -> Result<(), Rejection> {
        if self.admit(headers, trail)?.is_operator() {
            return Ok(());
        }
        Err(Rejection::new(
            StatusCode::FORBIDDEN,
            "master_key_needed",
            "this is for whoever has the master key",
            Outcome::RejectedAuth,
        ))
    }
}

impl Known {
    /// Compares with every key, and with each in the same time wherever they differ: the answer's delay says nothing
    /// about any of them.
    fn whose(&self, shown: &[u8]) -> Option<Client> {
        let is = |key: &SecretString| bool::from(shown.ct_eq(key.expose_secret().as_bytes()));
        let mut whose = None;
        for key in &self.keys {
            if is(&key.key) {
                whose = Some(Client::Key(Arc::clone(key)));
            }
        }
        if self.master.as_ref().is_some_and(is) {
            whose = Some(Client::Master);
        }
        whose
    }
}

/// The answer to a request that [`ClientKeys`] did not admit.
pub(crate) fn refused(rejection: Rejection, trail: &Trail) -> Response<Full<Bytes>> {
    let mut response = rejection.respond(trail).map(Full::new);
    if response.status() == StatusCode::UNAUTHORIZED {
        let headers = response.headers_mut();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Every key that a request shows.
fn shown(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers
        .get_all(AUTHORIZATION)
        .into_iter()
        .filter_map(|value| {
            let (scheme, key) = value.as_bytes().split_at_checked(7)?;
            scheme
                .eq_ignore_ascii_case(b"bearer ")
                .then(|| key.trim_ascii())
        });
    let bare = BARE
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .map(HeaderValue::as_bytes);
    bearer.chain(bare)
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKeys")
            .field("needed", &self.is_needed())
            .finish()
    }
}

impl<S> Layer<S> for ClientKeys {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate {
            inner,
            keys: self.clone(),
        }
    }
}

/// A service for those who show a key. It stands below the audit layer, so that refusals are recorded.
#[derive(Clone, Debug)]
pub(crate) struct Authenticate<S> {
    inner: S,
    keys: ClientKeys,
}

/// The body of an answer, or of a refusal.
pub(crate) type MaybeRefused<R> = EitherBody<R, Full<Bytes>>;

impl<S, B, R> Service<Request<B>> for Authenticate<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<MaybeRefused<R>>;
    type Error = S::Error;
    type Future = Either<
        Ready<Result<Self::Response, S::Error>>,
        MapOk<S::Future, fn(Response<R>) -> Self::Response>,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let trail = Trail::of_or_start(request.extensions_mut());
        match self.keys.admit(request.headers(), &trail) {
            Ok(client) => {
                request.extensions_mut().insert(client);
                let answer = self.inner.call(request);
                Either::Right(answer.map_ok(|response| response.map(EitherBody::Left)))
            }
            Err(rejection) => {
                let response = refused(rejection, &trail).map(EitherBody::Right);
                Either::Left(ready(Ok(response)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(master: Option<&str>, headers: &[(&'static str, &str)]) -> Result<(), StatusCode> {
        let keys = ClientKeys::new(master.map(SecretString::from), &[]);
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let trail = Trail::start();
        keys.admit(&headers, &trail)
            .map(drop)
            .map_err(|rejection| refused(rejection, &trail).status())
    }

    #[test]
    fn a_key_is_taken_from_each_header_that_clients_use() {
        for header in [
            ("authorization", "Bearer sk-1"),
            ("authorization", "bearer  sk-1 "),
            ("api-key", "sk-1"),
            ("x-api-key", "sk-1"),
        ] {
            assert_eq!(admits(Some("sk-1"), &[header]), Ok(()), "{header:?}");
        }
        // As a client of Anthropic's does through a proxy that adds its own.
        assert_eq!(
            admits(
                Some("sk-1"),
                &[("authorization", "Bearer other"), ("x-api-key", "sk-1")]
            ),
            Ok(())
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for headers in [
            &[][..],
            &[("authorization", "sk-1")],
            &[("authorization", "Basic sk-1")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer sk-")],
            &[("authorization", "Bearer sk-11")],
            &[("authorization", "Bearer SK-1")],
            &[("x-api-key", "")],
        ] {
            assert_eq!(
                admits(Some("sk-1"), headers),
                Err(StatusCode::UNAUTHORIZED),
                "{headers:?}"
            );
        }
        assert_eq!(
            admits(None, &[]),
            Ok(()),
            "without a configured key nobody is asked for one"
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        let keys = ClientKeys::new(Some("sk-secret".into()), &[]);
        assert!(!format!("{keys:?}").contains("sk-secret"));
    }
}
