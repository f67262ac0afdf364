//! The routes on a listener of their own.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tower_service::Service;

use crate::debug::{DebugBody, DebugRoutes, DebugRoutesBuilder, misdirected};

/// Connections served at once; further ones are told to come again.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may take to send a request's head, and to begin the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may live beyond the longest capture: who reads an answer slower than this is cut off.
const GRACE: Duration = Duration::from_secs(60);

/// A listener for [`DebugRoutes`] with a thread and a runtime of its own, so that it answers also while the application's
/// runtime is stuck. Dropping it stops it, and what it is just capturing.
///
/// It listens on a loopback address and checks that requests mean one (`Host: localhost`, `127.0.0.1` or `[::1]`, with its
/// port): a web page that a browser on the same machine shows cannot reach it by a name of its own (DNS rebinding).
/// ```no_run
/// use perfwright_service::{DebugListener, DebugRoutes, Standalone};
///
/// # fn main() -> Result<(), perfwright_service::ListenError> {
/// let _debug = DebugListener::bind("127.0.0.1:6060", DebugRoutes::builder(Standalone::new()))?;
/// # Ok(()) }
/// ```
#[must_use = "it stops listening when it is dropped"]
pub struct DebugListener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why nothing listens. Fits "failed to {error}".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is not a loopback one.
    #[error(
        "listen on {address}: it is not a loopback address; DebugListener::bind_remote needs a token for others"
    )]
    NotLoopback {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The system refused.
    #[error("listen on {address}: {error}")]
    Io {
        /// What was asked for.
        address: String,
        /// The system's words.
        #[source]
        error: io::Error,
    },
}

impl DebugListener {
    /// Listens on a loopback address; port 0 is a free one, see [`DebugListener::local_addr`].
    ///
    /// # Errors
    /// [`ListenError`], for other addresses too.
    pub fn bind(
        address: impl ToSocketAddrs + fmt::Debug,
        routes: DebugRoutesBuilder,
    ) -> Result<DebugListener, ListenError> {
        let listener = listen(&address, |address| address.ip().is_loopback())?;
        start(listener, routes.finish(), true)
    }

    /// Listens on any address, for clients with `Authorization: Bearer TOKEN` only. The token travels in the clear:
    /// put what encrypts before it, or keep to a network that you trust.
    ///
    /// # Errors
    /// [`ListenError::Io`].
    pub fn bind_remote(
        address: impl ToSocketAddrs + fmt::Debug,
        token: impl Into<String>,
        routes: DebugRoutesBuilder,
    ) -> Result<DebugListener, ListenError> {
        start(
            listen(&address, |_| true)?,
            routes.bearer_token(token),
            false,
        )
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for DebugListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugListener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for DebugListener {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends at its next await; what blocks is left behind.
            let _ = thread.join();
        }
    }
}

fn listen(
    address: &(impl ToSocketAddrs + fmt::Debug),
    is_allowed: impl Fn(&SocketAddr) -> bool,
) -> Result<std::net::TcpListener, ListenError> {
    let at = |error| ListenError::Io {
        address: format!("{address:?}"),
        error,
    };
    let addresses: Vec<_> = address.to_socket_addrs().map_err(at)?.collect();
    if let Some(&address) = addresses.iter().find(|address| !is_allowed(address)) {
        return Err(ListenError::NotLoopback { address });
    }
    let listener = std::net::TcpListener::bind(addresses.as_slice()).map_err(at)?;
    listener.set_nonblocking(true).map_err(at)?;
    Ok(listener)
}

fn start(
    listener: std::net::TcpListener,
    routes: DebugRoutes,
    checks_host: bool,
) -> Result<DebugListener, ListenError> {
    let io = |error| ListenError::Io {
        address: format!("{listener:?}"),
        error,
    };
    let address = listener.local_addr().map_err(io)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_name("perfwright-debug")
        .build()
        .map_err(io)?;
    let (stop, stopped) = oneshot::channel();
    let copy = listener.try_clone().map_err(io)?;
    let server = Server {
        routes,
        port: checks_host.then_some(address.port()),
        connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    };
    let run = move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(copy) else {
                return;
            };
            tokio::spawn(server.accept(listener));
            // An error: the other end was dropped, which is the message.
            let _ = stopped.await;
        });
        // What blocks (a capture that ends, a profile that is written) is not waited for.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new()
        .name("perfwright-debug".into())
        .spawn(run);
    Ok(DebugListener {
        address,
        stop: Some(stop),
        thread: Some(thread.map_err(io)?),
    })
}

#[derive(Clone)]
struct Server {
    routes: DebugRoutes,
    /// The port that a request's host must name; `None`: any host.
    port: Option<u16>,
    connections: Arc<Semaphore>,
}

impl Server {
    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: others close some meanwhile.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            match Arc::clone(&self.connections).try_acquire_owned() {
                Ok(room) => {
                    let server = self.clone();
                    tokio::spawn(async move {
                        server.serve(stream).await;
                        drop(room);
                    });
                }
                Err(_) => refuse(&stream),
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        let longest = self.routes.max_duration() + GRACE;
        let port = self.port;
        let routes = self.routes;
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut routes = routes.clone();
            async move {
                if !port.is_none_or(|port| names_loopback(request.headers(), request.uri(), port)) {
                    return Ok::<Response<DebugBody>, std::convert::Infallible>(misdirected());
                }
                routes.call(request).await
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), service);
        // An error is the client's: it went away or does not speak HTTP.
        let _ = tokio::time::timeout(longest, connection).await;
    }
}

/// There is no room to wait for the client's request: it gets its answer at once, as far as the socket takes it.
fn refuse(stream: &TcpStream) {
    let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n";
    let _ = stream.try_write(answer.as_bytes());
}

/// Whether a request means this listener: by one name of the loopback interface, with the port.
fn names_loopback(headers: &HeaderMap, uri: &http::Uri, port: u16) -> bool {
    let mut hosts = headers.get_all(http::header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let is_loopback = |host: &str| {
        let (name, given) = match host.rsplit_once(':') {
            Some((name, given)) if !given.ends_with(']') => (name, given.parse().ok()),
            _ => (host, Some(80)),
        };
        let known = ["localhost", "127.0.0.1", "[::1]"];
        given == Some(port) && known.iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    // A request line with a whole URL names a host too.
    let authority = uri
        .authority()
        .is_none_or(|authority| is_loopback(authority.as_str()));
    authority && host.to_str().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_loopback_interface() {
        let cases = [
            ("localhost:6060", true),
            ("LOCALHOST:6060", true),
            ("127.0.0.1:6060", true),
            ("[::1]:6060", true),
            ("localhost", false),
            ("[::1]", false),
            ("localhost:6061", false),
            ("localhost:", false),
            ("evil.example:6060", false),
            ("127.0.0.1.evil.example:6060", false),
            ("localhost:6060:6060", false),
            ("", false),
        ];
        let uri = http::Uri::from_static("/debug/pprof/");
        for (host, expect) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(http::header::HOST, host.parse().unwrap());
            assert_eq!(names_loopback(&headers, &uri, 6060), expect, "{host}");
        }
        let mut headers = HeaderMap::new();
        assert!(!names_loopback(&headers, &uri, 6060), "no host");
        headers.insert(http::header::HOST, "localhost".parse().unwrap());
        assert!(names_loopback(&headers, &uri, 80));
        let whole = http::Uri::from_static("http://evil.example/debug/pprof/");
        assert!(!names_loopback(&headers, &whole, 80));
        headers.append(http::header::HOST, "localhost".parse().unwrap());
        assert!(!names_loopback(&headers, &uri, 80), "two hosts");
    }
}
