//! Connections that take a small message in one piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use smallvec::SmallVec;
use tower::util::MapResponse;
use tower_service::Service;

/// The most that is copied. Most heads with their bodies, and most events of a stream, are smaller.
const SMALL: usize = 4096;

/// A connection that copies the pieces of a small message together and writes them as one.
///
/// hyper hands a head and its body, or an event and what frames it, on as several pieces. For a socket, the copy of a
/// few kilobytes is cheaper than the detour of a vectored write through the kernel's file layer; what is larger is
/// written in its pieces, without a copy.
///
/// ```
/// use std::io::IoSlice;
/// use std::pin::Pin;
///
/// use backstop_client::Gathered;
/// use hyper::rt::Write;
/// use hyper_util::rt::TokioIo;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let written = std::io::Cursor::new(Vec::new());
/// let mut connection = Gathered::new(TokioIo::new(written));
/// let pieces = [IoSlice::new(b"head, "), IoSlice::new(b"body")];
/// std::future::poll_fn(|cx| Pin::new(&mut connection).poll_write_vectored(cx, &pieces)).await?;
/// assert_eq!(connection.into_inner().into_inner().into_inner(), b"head, body");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Gathered<T>(T);

impl<T> Gathered<T> {
    /// Writes to `connection`.
    pub const fn new(connection: T) -> Self {
        Self(connection)
    }

    /// The connection alone.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: Read + Unpin> Read for Gathered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Gathered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let connection = Pin::new(&mut self.0);
        if let [all] = bufs {
            return connection.poll_write(cx, all);
        }
        if bufs.iter().map(|buf| buf.len()).sum::<usize>() > SMALL {
            return connection.poll_write_vectored(cx, bufs);
        }
        let mut piece = SmallVec::<[u8; SMALL]>::new();
        for buf in bufs {
            piece.extend_from_slice(buf);
        }
        connection.poll_write(cx, &piece)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<T: Connection> Connection for Gathered<T> {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

type Plain = <HttpConnector as Service<Uri>>::Response;

/// Makes [`Gathered`] connections.
pub(crate) type Connector = MapResponse<HttpConnector, fn(Plain) -> Gathered<Plain>>;

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `most` bytes at once and notes how it was asked.
    #[derive(Default)]
    struct Socket {
        most: usize,
        written: Vec<u8>,
        plain: usize,
        vectored: usize,
    }

    impl Write for Socket {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.plain += 1;
            let taken = buf.len().min(self.most);
            self.written.extend_from_slice(&buf[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.vectored += 1;
            let before = self.written.len();
            for buf in bufs {
                self.written.extend_from_slice(buf);
            }
            Poll::Ready(Ok(self.written.len() - before))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(most: usize, pieces: &[&[u8]]) -> (usize, Socket) {
        let mut gathered = Gathered::new(Socket {
            most,
            ..Socket::default()
        });
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Ok(taken)) = Pin::new(&mut gathered).poll_write_vectored(&mut cx, &slices)
        else {
            panic!("this socket takes something");
        };
        (taken, gathered.into_inner())
    }

    #[test]
    fn small_pieces_are_one_write() {
        let (taken, socket) = write(usize::MAX, &[b"head", b"", b"body"]);
        assert_eq!((taken, socket.plain, socket.vectored), (8, 1, 0));
        assert_eq!(socket.written, b"headbody");
    }

    #[test]
    fn a_part_of_them_is_told_as_a_part() {
        let (taken, socket) = write(6, &[b"head", b"body"]);
        assert_eq!(taken, 6);
        assert_eq!(socket.written, b"headbo");
    }

    #[test]
    fn what_is_large_is_not_copied() {
        let large = vec![b'x'; SMALL];
        let (taken, socket) = write(usize::MAX, &[b"head", &large]);
        assert_eq!((taken, socket.plain, socket.vectored), (SMALL + 4, 0, 1));
    }

    #[test]
    fn exactly_as_much_as_fits_is_copied() {
        let rest = vec![b'x'; SMALL - 4];
        let (taken, socket) = write(usize::MAX, &[b"head", &rest]);
        assert_eq!((taken, socket.plain, socket.vectored), (SMALL, 1, 0));
    }

    #[test]
    fn one_piece_needs_no_copy() {
        let large = vec![b'x'; 2 * SMALL];
        let (taken, socket) = write(usize::MAX, &[&large]);
        assert_eq!((taken, socket.plain, socket.vectored), (2 * SMALL, 1, 0));
    }
}
