//! The shop's binary: reads the arguments, serves until a signal, exits 0; 1 if it could not serve.

use std::process::ExitCode;

use clap::Parser;
use perfwright::heap::SampledAlloc;
use shop::{Args, server};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

fn main() -> ExitCode {
    let _profiler = perfwright::start();
    let args = Args::parse();
    if args.list_fixes {
        print!("{}", shop::Fix::list());
        return ExitCode::SUCCESS;
    }
    match server::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
