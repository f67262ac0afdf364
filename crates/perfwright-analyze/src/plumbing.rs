//! What carries a program's work without being it.

use crate::names::{Origin, crate_of, crate_of_path};

/// Crates that drive futures, and those that hand requests and responses on: whoever's these are. The list is
/// kept here alone; the viewer and the command's `--my-code` use it.
const CRATES: [&str; 54] = [
    // Executors and what they wait with.
    "tokio",
    "tokio_rustls",
    "tokio_stream",
    "tokio_util",
    "async_executor",
    "async_global_executor",
    "async_io",
    "async_std",
    "async_task",
    "blocking",
    "glommio",
    "mio",
    "monoio",
    "polling",
    "rayon",
    "rayon_core",
    "smol",
    "crossbeam_deque",
    // Futures, and macros that write them.
    "futures",
    "futures_channel",
    "futures_core",
    "futures_executor",
    "futures_io",
    "futures_lite",
    "futures_sink",
    "futures_task",
    "futures_util",
    "async_stream",
    "async_trait",
    "pin_project",
    "pin_project_lite",
    "pin_utils",
    // HTTP and RPC: connections, routers, layers, bodies.
    "actix_http",
    "actix_rt",
    "actix_server",
    "actix_service",
    "actix_web",
    "axum",
    "axum_core",
    "h2",
    "http_body",
    "http_body_util",
    "hyper",
    "hyper_util",
    "matchit",
    "tonic",
    "tower",
    "tower_http",
    "tower_layer",
    "tower_service",
    // Futures within spans.
    "tracing",
    "tracing_core",
    "tracing_futures",
    // Perfwright's own layer around every request.
    "perfwright_service",
];

/// How programs and threads begin.
const STARTS: [&str; 13] = [
    "_start",
    "main",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "clone3",
    "__clone3",
    "_pthread_start",
    // Of the compiler, which line tables name without a path.
    "__rust_try",
    "__rust_begin_short_backtrace",
    "lang_start",
];

/// Whether a function is nobody's work: it is of the standard library, drives futures, hands requests on, or is how
/// programs and threads begin. Merged into its callers, it leaves the code that a developer wrote or chose.
///
/// ```
/// use perfwright_analyze::is_plumbing;
/// assert!(is_plumbing("<tower::util::Oneshot<S, R> as core::future::Future>::poll", None));
/// assert!(!is_plumbing("shop::db::load", None));
/// ```
pub fn is_plumbing(name: &str, file: Option<&str>) -> bool {
    let is_listed = |name: &str| CRATES.contains(&name);
    // With line tables alone, inlined functions have no path in their name.
    let is_by_path = || {
        let package = file.and_then(crate_of_path);
        package.is_some_and(|package| is_listed(&package.replace('-', "_")))
    };
    Origin::of(name, file) == Origin::Std
        || crate_of(name).map_or_else(is_by_path, is_listed)
        || STARTS.contains(&name)
}
