//! The bench executable's side of the conversation with the gate.

use std::any::Any;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::{Bench, Bencher};
use crate::protocol::{Batch, Hello, Measured, Order, Reply, VERSION};

/// Obeys orders until there are no more.
pub(super) fn obey(mut benches: Vec<Bench>) -> ExitCode {
    let result = replies_to().and_then(|mut replies| {
        let orders = io::stdin().lock();
        converse(&mut benches, orders, &mut replies)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The gate went away: nobody is there to be told.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: failed to talk to the gate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Standard output, for ourselves: what benches print goes to standard error from here on.
fn replies_to() -> io::Result<std::fs::File> {
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(io::stderr())?;
    Ok(own.into())
}

fn converse(
    benches: &mut [Bench],
    orders: impl BufRead,
    replies: &mut impl Write,
) -> io::Result<()> {
    let hello = Reply::Hello(Hello {
        version: VERSION,
        pid: std::process::id(),
        counts: perfwright_heap::Totals::read().is_some(),
    });
    replies.write_all(hello.to_line().as_bytes())?;
    for line in orders.lines() {
        let answer = match Order::parse(&line?) {
            Ok(Order::List) => list(benches),
            Ok(Order::Run(batch)) => run(benches, batch).to_line(),
            Err(error) => failed(format!("failed to {error}")).to_line(),
        };
        replies.write_all(answer.as_bytes())?;
    }
    Ok(())
}

fn list(benches: &[Bench]) -> String {
    let named = benches.iter().map(|bench| Reply::Bench {
        name: bench.name.clone(),
    });
    let replies = named.chain([Reply::End]);
    replies.map(|reply| reply.to_line()).collect()
}

fn run(benches: &mut [Bench], batch: Batch) -> Reply {
    let count = benches.len();
    let Some(bench) = benches.get_mut(batch.bench) else {
        return failed(format!("there is no bench {} among {count}", batch.bench));
    };
    let mut total: Option<Measured> = None;
    let mut meter = |work: &mut dyn FnMut()| {
        let part = Measured::of(work);
        match &mut total {
            Some(total) => total.add(part),
            None => total = Some(part),
        }
    };
    let mut bencher = Bencher {
        warmup: batch.warmup,
        iterations: batch.iterations,
        meter: &mut meter,
    };
    // A bench that panicked is not run again: the gate gives it up.
    let ran = catch_unwind(AssertUnwindSafe(|| (bench.body)(&mut bencher)));
    match (ran, total) {
        (Err(panic), _) => failed(format!("it panicked: {}", words(&*panic))),
        (Ok(()), None) => failed("it measured nothing: its body has to call iter".to_owned()),
        (Ok(()), Some(measured)) => Reply::Ran(measured),
    }
}

fn failed(message: String) -> Reply {
    Reply::Failed {
        message: message.chars().take(2_000).collect(),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("with something that is no text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Suite;

    fn answers(suite: Suite, orders: &str) -> Vec<Reply> {
        let mut benches = suite.benches;
        let mut out = Vec::new();
        converse(&mut benches, orders.as_bytes(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .map(|line| Reply::parse(line).unwrap())
            .collect()
    }

    fn suite() -> Suite {
        let mut suite = Suite::new();
        suite
            .bench("adds", |bencher| {
                bencher.iter(|| std::hint::black_box(1) + 1);
            })
            .bench("panics", |bencher| bencher.iter(|| panic!("no {}", "luck")))
            .bench("measures nothing", |_| {});
        suite
    }

    fn names(replies: &[Reply]) -> Vec<&str> {
        let names = replies.iter().filter_map(|reply| match reply {
            Reply::Bench { name } => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }

    #[test]
    fn it_says_hello_and_lists() {
        let replies = answers(suite(), "list\n");
        assert!(matches!(replies[0], Reply::Hello(hello) if hello.version == VERSION));
        assert_eq!(names(&replies), ["adds", "panics", "measures nothing"]);
        assert_eq!(replies.last(), Some(&Reply::End));
    }

    #[test]
    fn a_batch_is_measured() {
        let replies = answers(suite(), "run bench=0 warmup=10 iterations=100000\n");
        let Reply::Ran(measured) = &replies[1] else {
            panic!("{replies:?}");
        };
        // 100,000 additions and stores take longer than 10 us on any machine.
        assert!(measured.wall_nanos > 10_000, "{measured:?}");
        assert_eq!(measured.allocated, None);
    }

    #[test]
    fn what_fails_is_said_and_the_conversation_goes_on() {
        let orders = "run bench=1 warmup=0 iterations=1\nrun bench=2 warmup=0 iterations=1\n\
                      run bench=7 warmup=0 iterations=1\ndance\nlist\n";
        let replies = answers(suite(), orders);
        let messages: Vec<&str> = (replies.iter())
            .filter_map(|reply| match reply {
                Reply::Failed { message } => Some(message.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            messages,
            [
                "it panicked: no luck",
                "it measured nothing: its body has to call iter",
                "there is no bench 7 among 3",
                "failed to understand a line of the gate: `dance` is no order",
            ]
        );
        assert_eq!(names(&replies).len(), 3);
    }
}
