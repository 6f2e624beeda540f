//! A reverse proxy made of hyper alone: `bench-proxy http://127.0.0.1:1234/openai`, which `/v1/…` is appended to.
//!
//! It is what the gateway is compared with: the same server, client, pool and connection settings, and between them
//! nothing but another authority and path. It has the system's allocator, as a program has that does not choose one; with
//! the gateway's it uses a twentieth less processor time.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// As in the gateway.
const BUFFER: usize = 64 * 1024;
const HEAD: Duration = Duration::from_secs(75);

type Body = Either<Incoming, Empty<Bytes>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = std::env::args().nth(1).ok_or("which upstream?")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let proxy = Proxy::new(upstream);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(proxy.clone().serve(stream));
    }
}

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    upstream: String,
}

impl Proxy {
    fn new(upstream: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Self { client, upstream }
    }

    async fn serve(self, stream: TcpStream) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let service = service_fn(|request| self.forward(request));
        // The load generator says what went wrong.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Body>, http::Error> {
        *request.uri_mut() = Uri::try_from(format!("{}{}", self.upstream, request.uri().path()))?;
        request.headers_mut().remove(http::header::HOST);
        match self.client.request(request).await {
            Ok(response) => Ok(response.map(Either::Left)),
            Err(_) => Response::builder()
                .status(StatusCode::BAD_GATEWAY)
                .body(Either::Right(Empty::new())),
        }
    }
}
