//! How the gate and a bench executable talk.
//!
//! `cargo perfwright bench --against REV` starts an executable that is written with [`Suite`](crate::Suite) with
//! [`VARIABLE`] in its environment. It then runs no bench by itself but obeys orders, one line each way, over
//! standard input and output:
//!
//! ```text
//! bench executable                                  gate
//!   hello version=1 pid=4711 counts=1            ->
//!                                                <-  list
//!   bench name=parse/small                       ->      numbered from 0, as they come
//!   bench name=parse/large                       ->
//!   end                                          ->
//!                                                <-  run bench=0 warmup=8 iterations=200
//!   ran wall=1003201 process=1001100 thread=1000900 waits=0 allocations=400 bytes=25600 ->
//!   failed message=...                           ->      in place of any answer: the bench panicked
//! ```
//!
//! - A line is a word and then `key=value` pairs, separated by single spaces and ended by a newline. Values are
//!   percent-encoded bytes. Unknown keys are ignored, so that either side may grow; an incompatible change raises
//!   [`VERSION`], and the gate refuses a version that it does not speak.
//! - `run` runs `warmup` iterations that are not measured and then `iterations` that are. Times are in nanoseconds
//!   and those of all iterations together. `waits` counts how often the process gave up its CPU by itself: where
//!   it is 0, what the wall clock has beyond the CPU's is other programs' doing.
//! - `allocations` and `bytes` are there if the program's global allocator counts (`counts=1`).
//! - What a bench prints goes to standard error, so that it cannot disturb the conversation.
//! - The executable ends when its standard input does.

use std::fmt::{self, Write as _};

/// The environment variable that makes a bench executable obey.
pub const VARIABLE: &str = "PERFWRIGHT_GATE";
/// The protocol's version, sent in `hello`.
pub const VERSION: u32 = 1;
/// The longest line that either side accepts, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Name the benches.
    List,
    /// Run one.
    Run(Batch),
}

/// How often a bench is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Its place in the list, from 0.
    pub bench: usize,
    /// Iterations before those that are measured.
    pub warmup: u64,
    /// Iterations that are measured together.
    pub iterations: u64,
}

/// What the bench executable says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The first line: who is there.
    Hello(Hello),
    /// One of the benches, in the order of their numbers.
    Bench {
        /// Its name.
        name: String,
    },
    /// There are no more benches.
    End,
    /// What a batch took.
    Ran(Measured),
    /// The order failed; the message says why.
    Failed {
        /// What went wrong.
        message: String,
    },
}

/// An executable's introduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The protocol's version that it speaks.
    pub version: u32,
    /// Its process id.
    pub pid: u32,
    /// Whether its allocator counts.
    pub counts: bool,
}

/// What the measured iterations of a batch took, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Elapsed time in nanoseconds.
    pub wall_nanos: u64,
    /// CPU time of the process in nanoseconds.
    pub process_nanos: u64,
    /// CPU time of the thread that ran the iterations, in nanoseconds.
    pub thread_nanos: u64,
    /// How often the process gave up its CPU by itself.
    pub waits: u64,
    /// What all threads allocated; `None` if the allocator does not count.
    pub allocated: Option<Allocated>,
}

/// Exact counts of allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allocated {
    /// Blocks.
    pub allocations: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

/// A line that is none of the protocol's. Fits "failed to {error}".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    problem: String,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "understand a line of the gate: {}", self.problem)
    }
}

impl std::error::Error for ProtocolError {}

impl Order {
    /// The line, with its newline.
    pub fn to_line(self) -> String {
        match self {
            Order::List => line("list", &[]),
            Order::Run(batch) => line(
                "run",
                &[
                    ("bench", &batch.bench.to_string()),
                    ("warmup", &batch.warmup.to_string()),
                    ("iterations", &batch.iterations.to_string()),
                ],
            ),
        }
    }

    /// Reads a line, with or without its newline.
    ///
    /// # Errors
    /// Says what is no order, missing or no number.
    pub fn parse(text: &str) -> Result<Order, ProtocolError> {
        let fields = Fields::parse(text)?;
        match fields.word {
            "list" => Ok(Order::List),
            "run" => Ok(Order::Run(Batch {
                bench: fields.number("bench")?,
                warmup: fields.number("warmup")?,
                iterations: fields.number("iterations")?,
            })),
            word => Err(problem(format!("`{word}` is no order"))),
        }
    }
}

impl Reply {
    /// The line, with its newline.
    pub fn to_line(&self) -> String {
        match self {
            Reply::Hello(hello) => line(
                "hello",
                &[
                    ("version", &hello.version.to_string()),
                    ("pid", &hello.pid.to_string()),
                    ("counts", if hello.counts { "1" } else { "0" }),
                ],
            ),
            Reply::Bench { name } => line("bench", &[("name", name)]),
            Reply::End => line("end", &[]),
            Reply::Ran(measured) => measured.to_line(),
            Reply::Failed { message } => line("failed", &[("message", message)]),
        }
    }

    /// Reads a line, with or without its newline.
    ///
    /// # Errors
    /// Says what is no reply, missing or no number.
    pub fn parse(text: &str) -> Result<Reply, ProtocolError> {
        let fields = Fields::parse(text)?;
        match fields.word {
            "hello" => Ok(Reply::Hello(Hello {
                version: fields.number("version")?,
                pid: fields.number("pid")?,
                counts: fields.text("counts").is_ok_and(|counts| counts == "1"),
            })),
            "bench" => Ok(Reply::Bench {
                name: fields.text("name")?,
            }),
            "end" => Ok(Reply::End),
            "ran" => Ok(Reply::Ran(Measured::from_fields(&fields)?)),
            "failed" => Ok(Reply::Failed {
                message: fields.text("message")?,
            }),
            word => Err(problem(format!("`{word}` is no reply"))),
        }
    }
}

impl Measured {
    fn to_line(self) -> String {
        let numbers = [
            ("wall", self.wall_nanos),
            ("process", self.process_nanos),
            ("thread", self.thread_nanos),
            ("waits", self.waits),
        ];
        let counts = self.allocated.map(|allocated| {
            [
                ("allocations", allocated.allocations),
                ("bytes", allocated.bytes),
            ]
        });
        let numbers = numbers.into_iter().chain(counts.into_iter().flatten());
        let pairs: Vec<(&str, String)> = numbers
            .map(|(key, number)| (key, number.to_string()))
            .collect();
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
            .collect();
        line("ran", &pairs)
    }

    fn from_fields(fields: &Fields<'_>) -> Result<Measured, ProtocolError> {
        let allocated = match fields.has("allocations") {
            true => Some(Allocated {
                allocations: fields.number("allocations")?,
                bytes: fields.number("bytes")?,
            }),
            false => None,
        };
        Ok(Measured {
            wall_nanos: fields.number("wall")?,
            process_nanos: fields.number("process")?,
            thread_nanos: fields.number("thread")?,
            waits: fields.number("waits")?,
            allocated,
        })
    }
}

/// A line taken apart; the values are still encoded.
struct Fields<'a> {
    word: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Fields<'a>, ProtocolError> {
        if text.len() > LINE_BYTES_MAX {
            return Err(problem(format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        let mut parts = text.trim_end_matches(['\n', '\r']).split(' ');
        let word = parts.next().unwrap_or_default();
        let pairs = parts
            .map(|pair| {
                pair.split_once('=')
                    .ok_or_else(|| problem(format!("`{pair}` has no `=`")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Fields { word, pairs })
    }

    fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(name, _)| *name == key)
    }

    fn text(&self, key: &str) -> Result<String, ProtocolError> {
        let (_, value) = self
            .pairs
            .iter()
            .find(|(name, _)| *name == key)
            .ok_or_else(|| problem(format!("`{}` without `{key}`", self.word)))?;
        let bytes =
            decode(value).ok_or_else(|| problem(format!("`{key}` is not percent-encoded")))?;
        String::from_utf8(bytes).map_err(|_| problem(format!("`{key}` is not UTF-8")))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, ProtocolError> {
        self.text(key)?
            .parse()
            .map_err(|_| problem(format!("`{key}` is no whole number")))
    }
}

fn problem(problem: String) -> ProtocolError {
    // What a stranger prints may be long, and is shown to a person.
    let problem = problem.chars().take(200).collect();
    ProtocolError { problem }
}

fn line(word: &str, pairs: &[(&str, &str)]) -> String {
    let mut line = word.to_owned();
    for (key, value) in pairs {
        line.push(' ');
        line.push_str(key);
        line.push('=');
        encode(value.as_bytes(), &mut line);
    }
    line.push('\n');
    line
}

fn encode(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    Some(out)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_they_were_written() {
        let run = Order::Run(Batch {
            bench: 3,
            warmup: 8,
            iterations: u64::MAX,
        });
        assert_eq!(
            run.to_line(),
            "run bench=3 warmup=8 iterations=18446744073709551615\n"
        );
        for order in [Order::List, run] {
            assert_eq!(Order::parse(&order.to_line()), Ok(order));
        }
        let uncounted = Measured {
            wall_nanos: 1,
            process_nanos: 2,
            thread_nanos: 3,
            waits: 4,
            allocated: None,
        };
        let counted = Measured {
            allocated: Some(Allocated {
                allocations: 5,
                bytes: 6,
            }),
            ..uncounted
        };
        let replies = [
            Reply::Hello(Hello {
                version: 1,
                pid: 4711,
                counts: true,
            }),
            Reply::Bench {
                name: "größe = 5 %/\n".into(),
            },
            Reply::End,
            Reply::Ran(uncounted),
            Reply::Ran(counted),
            Reply::Failed {
                message: "index out of bounds: the len is 3".into(),
            },
        ];
        for reply in replies {
            assert_eq!(Reply::parse(&reply.to_line()), Ok(reply));
        }
        assert_eq!(
            Reply::Ran(counted).to_line(),
            "ran wall=1 process=2 thread=3 waits=4 allocations=5 bytes=6\n"
        );
    }

    #[test]
    fn unknown_keys_are_ignored_and_the_rest_is_refused_with_a_reason() {
        assert_eq!(Order::parse("list colour=blue"), Ok(Order::List));
        let refusals = [
            ("begin", "`begin` is no reply"),
            ("", "`` is no reply"),
            ("running 3 tests", "`3` has no `=`"),
            ("bench", "`bench` without `name`"),
            ("bench name=%4", "`name` is not percent-encoded"),
            ("bench name=%FF", "`name` is not UTF-8"),
            ("hello version=-1", "`version` is no whole number"),
            (
                "ran wall=1 process=1 thread=1 waits=0 allocations=1",
                "`ran` without `bytes`",
            ),
        ];
        for (text, reason) in refusals {
            let error = Reply::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("understand a line of the gate: {reason}"));
        }
        let long = format!("bench name={}", "x".repeat(LINE_BYTES_MAX));
        assert!(Reply::parse(&long).is_err());
    }
}
