//! The default HTTP client under a provider: hyper with a connection pool, rustls, and HTTP/2 where offered.
//!
//! It is a `tower::Service<http::Request<Full<Bytes>>>`, so tower-http's layers go around it, and any other
//! service of that form can take its place. It never follows redirects, reads no proxy from the environment, and
//! sets no timeout but for connecting: when an answer takes too long is for Backstop's timeout layer to say.
//!
//! ```no_run
//! use backstop_client::Client;
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use tower_service::Service;
//!
//! # async fn get() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::new()?;
//! let request = http::Request::get("https://example.com/").body(Full::<Bytes>::default())?;
//! let response = client.call(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! [`Error`] carries a [`Failure`](backstop_core::Failure): `Network`, and whether a byte of the request can have left.
//!
//! # Cancel safety
//!
//! Dropping the future or the body closes the connection, or resets the HTTP/2 stream: the server sees it.

mod builder;
mod client;
mod error;
pub mod future;
mod gathered;

pub use self::builder::Builder;
pub use self::client::Client;
pub use self::error::{Error, NoRoots};
pub use self::gathered::Gathered;
