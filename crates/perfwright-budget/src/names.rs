//! What a service calls its metrics.
//!
//! `perfwright-service` serves those of requests, process and heap. Those of pools and caches are for the service to
//! register, under these names.

/// How long requests took, a histogram by `route`, `method` and `status`.
pub(crate) const REQUESTS: &str = "http_server_request_duration_seconds";
/// Requests under way.
pub(crate) const IN_FLIGHT: &str = "http_server_requests_in_flight";
/// Requests that ended.
pub(crate) const REQUESTS_TOTAL: &str = "http_server_requests_total";
/// Bytes of requests' bodies.
pub(crate) const REQUEST_BYTES: &str = "http_server_request_body_bytes_total";
/// Bytes of responses' bodies.
pub(crate) const RESPONSE_BYTES: &str = "http_server_response_body_bytes_total";

/// CPU time of the process.
pub(crate) const CPU: &str = "process_cpu_seconds_total";
/// Resident memory.
pub(crate) const RESIDENT: &str = "process_resident_memory_bytes";
/// Open files, sockets among them.
pub(crate) const OPEN_FILES: &str = "process_open_fds";
/// Blocks allocated.
pub(crate) const ALLOCATIONS: &str = "heap_allocations_total";
/// Bytes allocated.
pub(crate) const ALLOCATED: &str = "heap_allocated_bytes_total";
/// Bytes allocated and not freed.
pub(crate) const LIVE: &str = "heap_live_bytes";

/// The label that tells pools apart.
pub(crate) const POOL: &str = "pool";
/// Open connections of a pool.
pub(crate) const POOL_CONNECTIONS: &str = "db_pool_connections";
/// Those of them that nobody uses.
pub(crate) const POOL_IDLE: &str = "db_pool_idle_connections";
/// How many a pool may open.
pub(crate) const POOL_MAX: &str = "db_pool_max_connections";
/// How often a connection was asked for, and how long that took in all.
pub(crate) const POOL_ACQUIRES: &str = "db_pool_acquires_total";
pub(crate) const POOL_WAIT: &str = "db_pool_wait_seconds_total";
/// The same as a histogram, for those who have one.
pub(crate) const POOL_WAIT_HISTOGRAM: &str = "db_pool_wait_seconds";

/// The label that tells caches apart.
pub(crate) const CACHE: &str = "cache";
/// What a cache had.
pub(crate) const CACHE_HITS: &str = "cache_hits_total";
/// What it had not.
pub(crate) const CACHE_MISSES: &str = "cache_misses_total";

/// The statuses of requests that failed, as a regular expression.
pub(crate) const FAILED: &str = "5.*|error|panic";

/// Whether a request of this status failed.
pub(crate) fn is_failed(status: &str) -> bool {
    status.starts_with('5') || ["error", "panic"].contains(&status)
}
