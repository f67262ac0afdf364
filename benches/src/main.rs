//! Perfwright beside its peers: every number in `README.md` of this folder comes from here.
//!
//! Each measured thing runs in a child process of its own, so that one's memory and threads are not the
//! other's; the children alternate between us and the peer, so that a machine whose speed drifts treats
//! both alike. A child prints `key=value` lines.

mod accounting;
mod child;
mod cost;
mod encode;
mod memory;
mod overhead;
mod symbolize;
mod workload;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Perfwright beside its peers.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand, Clone, Copy)]
enum Bench {
    /// Everything, in order.
    All,
    /// The share of CPU time that samples account for.
    Accounting,
    /// What one sample costs at about 110 frames, above an empty signal handler.
    Cost,
    /// 100,000 distinct stacks to pprof.
    Encode,
    /// The heap profiler: `benches/heap`, a package of its own, since an allocator is a program's.
    Heap,
    /// Resident memory of starting the sampler.
    Memory,
    /// What the always-on sampler costs a program.
    Overhead,
    /// Names for the addresses of a profile.
    Symbolize,
}

fn main() -> Result<()> {
    if let Some(role) = child::role() {
        return run_child(&role);
    }
    match Args::parse().bench {
        Bench::All => {
            for bench in [
                Bench::Accounting,
                Bench::Cost,
                Bench::Encode,
                Bench::Heap,
                Bench::Memory,
                Bench::Overhead,
                Bench::Symbolize,
            ] {
                run(bench)?;
                println!();
            }
            Ok(())
        }
        bench => run(bench),
    }
}

fn run(bench: Bench) -> Result<()> {
    match bench {
        Bench::All => Ok(()),
        Bench::Accounting => accounting::run(),
        Bench::Cost => cost::run(),
        Bench::Encode => encode::run(),
        Bench::Heap => heap(),
        Bench::Memory => memory::run(),
        Bench::Overhead => overhead::run(),
        Bench::Symbolize => symbolize::run(),
    }
}

fn heap() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/heap/Cargo.toml");
    let mut command = std::process::Command::new(cargo);
    command.args(["run", "--release", "--quiet", "--manifest-path", manifest]);
    anyhow::ensure!(command.status()?.success(), "the heap benches failed");
    Ok(())
}

fn run_child(role: &child::Role) -> Result<()> {
    match role.bench() {
        "accounting" => accounting::child(role),
        "cost" => cost::child(role),
        "encode" => encode::child(role),
        "memory" => memory::child(role),
        "overhead" => overhead::child(role),
        "symbolize" => symbolize::child(role),
        other => anyhow::bail!("no bench is called {other}"),
    }
}
