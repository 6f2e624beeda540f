use super::*;
use backstop_core::{Failure, FailureKind, Reach, failure_of};

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    // Bound and closed again: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let request = Request::get(format!("http://{address}/"))
        .body(Full::default())
        .expect("valid");
    let error = Client::plain_http()
        .call(request)
        .await
        .expect_err("nobody listens");
    let failure = failure_of(&error).expect("classified");
    assert_eq!(
        (failure.kind(), failure.reach()),
        (FailureKind::Network, Reach::Unsent)
    );
    let why = failure.detail().expect("the reason");
    assert!(
        why.starts_with("no connection: Connection refused"),
        "{why}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_sent_everything() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = async {
        let (socket, _) = listener.accept().await.expect("a client");
        socket.readable().await.expect("a request");
        drop(socket);
    };
    let request = Request::get(format!("http://{address}/"))
        .body(Full::default())
        .expect("valid");
    let mut client = Client::plain_http();
    let (answer, ()) = tokio::join!(client.call(request), server);
    let error = answer.expect_err("no answer");
    assert_eq!(failure_of(&error).map(Failure::reach), Some(Reach::Sent));
}
