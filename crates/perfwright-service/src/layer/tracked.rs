//! One request, from its beginning to the end of its response's body.
//!
//! ```text
//!             head                    body's end, error, panic, drop
//!  Waiting ----------> Sending ----------------------------------------> Done
//!     |                                                                   ^
//!     +---- drop (cancelled), panic, error of the service ----------------+
//! ```

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use perfwright_context::{Word, set};

use super::RequestHead;
use super::series::{End, Fate, Series};

/// A request that is counted once, whatever happens to it.
pub(super) struct Tracked {
    pub(super) series: Arc<Series>,
    /// By the series' clock.
    started_nanos: u64,
    word: Word,
    /// A response to HEAD has no body, whatever its length says.
    is_head: bool,
    /// A call of gRPC: how it ended stands in a header or trailer.
    pub(super) is_grpc: bool,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Waiting,
    /// `whole`: if the body is dropped now, nothing of it is missing.
    Sending {
        fate: Fate,
        whole: bool,
    },
    Done,
}

impl Tracked {
    #[inline]
    pub(super) fn begin(series: Arc<Series>, word: Word, head: &RequestHead<'_>) -> Tracked {
        series.began();
        Tracked {
            started_nanos: series.clock.nanos(),
            series,
            word,
            is_head: *head.method == Method::HEAD,
            is_grpc: is_grpc(head.headers),
            state: State::Waiting,
        }
    }

    /// Makes the calling thread work for this request until the guard is dropped.
    #[inline]
    pub(super) fn enter(&mut self) -> Entered<'_> {
        Entered {
            before: set(self.word),
            was_panicking: std::thread::panicking(),
            tracked: self,
        }
    }

    #[inline]
    pub(super) fn head(&mut self, status: StatusCode) {
        let fate = Fate::of(status);
        self.series.head(fate, self.nanos());
        let no_body = matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS
        );
        self.state = State::Sending {
            fate,
            whole: self.is_head || no_body,
        };
    }

    /// The service returned an error.
    #[inline]
    pub(super) fn failed(&mut self) {
        self.end_early(Fate::Failed);
    }

    /// The body was handed out whole, though it has not said so.
    #[inline]
    pub(super) fn may_end(&mut self) {
        if let State::Sending { whole, .. } = &mut self.state {
            *whole = true;
        }
    }

    #[inline]
    pub(super) fn end(&mut self, end: End) {
        if let State::Sending { fate, .. } = self.state {
            self.state = State::Done;
            self.series.ended(fate, end, self.nanos());
        }
    }

    fn panicked(&mut self) {
        match self.state {
            State::Waiting => self.end_early(Fate::Panicked),
            State::Sending { .. } => self.end(End::Panicked),
            State::Done => {}
        }
    }

    fn end_early(&mut self, fate: Fate) {
        if let State::Waiting = self.state {
            self.state = State::Done;
            self.series.ended_early(fate, self.nanos());
        }
    }

    fn nanos(&self) -> u64 {
        self.series.clock.nanos().saturating_sub(self.started_nanos)
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

impl Drop for Tracked {
    #[inline]
    fn drop(&mut self) {
        match self.state {
            State::Waiting => self.end_early(Fate::Cancelled),
            State::Sending { whole: true, .. } => self.end(End::Whole),
            State::Sending { whole: false, .. } => self.end(End::Cancelled),
            State::Done => {}
        }
    }
}

/// While it lives the thread's word is the request's. A panic that begins meanwhile is the request's.
pub(super) struct Entered<'a> {
    tracked: &'a mut Tracked,
    before: Word,
    was_panicking: bool,
}

impl Entered<'_> {
    #[inline]
    pub(super) fn series(&self) -> &Arc<Series> {
        &self.tracked.series
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        set(self.before);
        if std::thread::panicking() && !self.was_panicking {
            self.tracked.panicked();
        }
    }
}
