//! The shop's binary: reads the arguments, serves until a signal, exits 0; 1 if it could not serve.

use std::process::ExitCode;

use clap::Parser;
use perfwright::Perfwright;
use perfwright::heap::SampledAlloc;
use perfwright::spans;
use shop::{Args, server};

#[global_allocator]
static ALLOC: SampledAlloc = SampledAlloc::system();

fn main() -> ExitCode {
    let perfwright = Perfwright::builder()
        .spans(spans::Options::new())
        .start_or_explain();
    let args = Args::parse();
    if args.list_fixes {
        print!("{}", shop::Fix::list());
        return ExitCode::SUCCESS;
    }
    match server::run(&args, &perfwright) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
