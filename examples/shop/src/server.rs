//! Running the shop: database, listener, serving until a signal.

use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use perfwright::Perfwright;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::db::Storage;
use crate::routes::{AppState, router};
use crate::seed::Scale;

/// How long requests in flight may take to end after the signal.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// The port is taken, or the database can't be opened.
#[tokio::main]
pub async fn run(args: &Args, perfwright: &Perfwright) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    // Before the database: seeding takes a moment, and a taken port is known at once.
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "failed to listen on {}; choose another with --listen",
            args.listen
        )
    })?;
    let storage = Storage::open(args.data.as_deref(), Scale::FULL, args.fixes()).await?;
    let state = AppState::new(storage.pool.clone(), args.fixes());
    println!("listening on http://{}", listener.local_addr()?);
    if let Some(address) = perfwright.debug_address() {
        println!("profiles at http://{address}/debug/pprof/");
    }
    let app = router(state).layer(perfwright.service_layer());
    let served = serve(listener, app, stop).await;
    storage.close().await?;
    served
}

async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let stop = async move {
        stop.await;
        stopping.send_replace(true);
    };
    let serving = axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .into_future();
    let mut serving = pin!(serving);
    tokio::select! {
        served = &mut serving => return served.context("failed to serve"),
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    match tokio::time::timeout(GRACE, serving).await {
        Ok(served) => served.context("failed to serve"),
        Err(_) => {
            eprintln!(
                "some requests did not end within {} s and were dropped",
                GRACE.as_secs()
            );
            Ok(())
        }
    }
}

/// The future that ends at the first SIGTERM or SIGINT; both are caught from the call on.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to catch SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
