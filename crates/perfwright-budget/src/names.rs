//! What a service calls its metrics.
//!
//! `perfwright-service` serves those of requests, process and heap. Those of pools and caches are for the service to
//! register, under these names.

/// How long requests took, by `route`, `method` and `status`.
pub(crate) const REQUESTS: &str = "http_server_request_duration_seconds";
/// The statuses of requests that failed, as a regular expression.
pub(crate) const FAILED: &str = "5.*|error|panic";

/// Whether a request of this status failed.
pub(crate) fn is_failed(status: &str) -> bool {
    status.starts_with('5') || ["error", "panic"].contains(&status)
}
