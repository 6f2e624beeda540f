use std::fmt;

use backstop_core::{Failures, OnBody};
use tower_layer::Layer;

use crate::keys::Keys;
use crate::{Circuit, Cooldown};

/// Refuses calls while a [`Circuit`] rests, and tells it how the others went. See the [crate docs](crate).
#[derive(Clone)]
pub struct CooldownLayer<C = Failures, T = OnBody> {
    keys: Keys,
    classify: C,
    track: T,
}

impl CooldownLayer {
    /// Rests with `circuit`, which outlives the layer: see [`Circuits`](crate::Circuits).
    ///
    /// Failures are what [`Failures`] finds, and an answer is over when its body is ([`OnBody`]).
    #[must_use]
    pub const fn new(circuit: Circuit) -> Self {
        Self {
            keys: Keys {
                deployment: circuit,
                credential: None,
                endpoint: None,
            },
            classify: Failures,
            track: OnBody,
        }
    }
}

impl<C, T> CooldownLayer<C, T> {
    /// Adds the circuit of the credential, which several deployments may share: a rejected key and an exhausted
    /// quota are blamed there instead of on the deployment.
    #[must_use]
    pub fn credential(mut self, circuit: Circuit) -> Self {
        self.keys.credential = Some(circuit);
        self
    }

    /// Adds the circuit of the endpoint, which several deployments may share: network failures before anything was
    /// sent are blamed there instead of on the deployment.
    #[must_use]
    pub fn endpoint(mut self, circuit: Circuit) -> Self {
        self.keys.endpoint = Some(circuit);
        self
    }

    /// Finds failures with `classify` instead, such as [`ByStatus`](backstop_core::ByStatus) or a closure.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> CooldownLayer<C2, T> {
        CooldownLayer {
            keys: self.keys,
            classify,
            track: self.track,
        }
    }

    /// Decides with `track` when an answer is over, such as [`OnResponse`](backstop_core::OnResponse) for
    /// responses without a body.
    #[must_use]
    pub fn track<T2>(self, track: T2) -> CooldownLayer<C, T2> {
        CooldownLayer {
            keys: self.keys,
            classify: self.classify,
            track,
        }
    }
}

impl<S, C: Clone, T: Clone> Layer<S> for CooldownLayer<C, T> {
    type Service = Cooldown<S, C, T>;

    fn layer(&self, inner: S) -> Self::Service {
        Cooldown::new(
            inner,
            self.keys.clone(),
            self.classify.clone(),
            self.track.clone(),
        )
    }
}

impl<C, T> fmt::Debug for CooldownLayer<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooldownLayer")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
