//! The threads of the process, as far as the system tells without stopping them: Go's goroutines' counterpart.

use std::fmt::Write as _;
use std::fs;

use perfwright_model::{Profile, SampleType, keys};

/// Threads beyond so many are not looked at.
const MAX_THREADS: usize = 65_536;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Thread {
    name: String,
    /// What it does, in a word; with the function of the kernel that it waits in where the system tells.
    state: String,
    tid: u32,
}

/// All threads, by name. Empty where there is no `/proc`.
pub(super) fn read() -> Vec<Thread> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let tids = tasks
        .flatten()
        .filter_map(|task| task.file_name().to_str()?.parse().ok());
    let mut threads: Vec<_> = tids.take(MAX_THREADS).filter_map(read_one).collect();
    threads.sort();
    threads
}

/// `None` if it ended meanwhile.
fn read_one(tid: u32) -> Option<Thread> {
    let file = |name| fs::read_to_string(format!("/proc/self/task/{tid}/{name}"));
    let stat = file("stat").ok()?;
    let (name, rest) = stat.rsplit_once(')')?;
    let name = name.split_once('(')?.1;
    let state = state(rest.trim_start().chars().next()?);
    let place = file("wchan").unwrap_or_default();
    let place = place.trim().trim_matches('0');
    Some(Thread {
        name: name.to_owned(),
        state: match place {
            "" => state.to_owned(),
            place => format!("{state} in {place}"),
        },
        tid,
    })
}

/// proc_pid_stat(5).
fn state(letter: char) -> &'static str {
    match letter {
        'R' => "running",
        'S' => "sleeping",
        'D' => "waiting for the disk",
        'T' | 't' => "stopped",
        'Z' | 'X' | 'x' => "ended",
        'I' => "idle",
        _ => "unknown",
    }
}

/// One sample a thread: below its name what it does, with labels for the name and the number.
pub(super) fn profile(threads: &[Thread]) -> Profile {
    let mut profile = Profile::new([SampleType::new("goroutine", "count")]);
    let comment = "perfwright: threads of the operating system; stacks are in a wall-clock profile";
    profile.meta.comments.push(comment.into());
    profile.meta.time_nanos = now_nanos();
    for thread in threads {
        let root = profile.frame_location(&thread.name);
        let leaf = profile.frame_location(&format!("[{}]", thread.state));
        let stack = profile.intern_stack_root_first([root, leaf]);
        let labels = [
            profile.str_label(keys::THREAD, &thread.name),
            profile.num_label(keys::TID, i64::from(thread.tid), ""),
        ];
        let labels = profile.intern_labels(&labels);
        profile.record(stack, labels, &[1]);
    }
    profile
}

/// Go's `threadcreate` has no stacks either.
pub(super) fn count_profile(threads: usize) -> Profile {
    let mut profile = Profile::new([SampleType::new("threadcreate", "count")]);
    profile.meta.time_nanos = now_nanos();
    let stack = [profile.frame_location("[unknown]")];
    let stack = profile.intern_stack_root_first(stack);
    let count = i64::try_from(threads).unwrap_or(i64::MAX);
    profile.record(stack, perfwright_model::LabelSetId::EMPTY, &[count]);
    profile
}

fn now_nanos() -> Option<i64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.ok()?.as_nanos()).ok()
}

/// As Go writes it: `debug=1` alike threads together, `debug=2` each for itself.
pub(super) fn text(threads: &[Thread], debug: i64) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    if debug >= 2 {
        for Thread { name, state, tid } in threads {
            let _ = write!(text, "goroutine {tid} [{state}]:\n{name}\n\n");
        }
        return text;
    }
    let _ = writeln!(text, "goroutine profile: total {}", threads.len());
    let alike = threads.chunk_by(|a, b| (&a.name, &a.state) == (&b.name, &b.state));
    for group in alike {
        let Thread { name, state, .. } = &group[0];
        let _ = write!(text, "{} @\n#\t{state}\n#\t{name}\n\n", group.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(name: &str, state: &str, tid: u32) -> Thread {
        Thread {
            name: name.into(),
            state: state.into(),
            tid,
        }
    }

    #[test]
    fn alike_threads_stand_together() {
        let threads = [
            thread("main", "running", 1),
            thread("worker", "sleeping in futex_wait_queue", 2),
            thread("worker", "sleeping in futex_wait_queue", 3),
        ];
        let expect = "goroutine profile: total 3\n1 @\n#\trunning\n#\tmain\n\n\
                      2 @\n#\tsleeping in futex_wait_queue\n#\tworker\n\n";
        assert_eq!(text(&threads, 1), expect);
        assert!(
            text(&threads, 2).contains("goroutine 3 [sleeping in futex_wait_queue]:\nworker\n")
        );
        let profile = profile(&threads);
        assert_eq!((profile.sample_count(), profile.total(0)), (3, 3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_is_found_by_its_name() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (begun, begin) = std::sync::mpsc::channel::<()>();
        let waiter = std::thread::Builder::new().name("odd (name) )".into());
        let waiter = waiter.spawn(move || {
            begun.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        begin.recv().unwrap();
        assert!(read().iter().any(|thread| thread.name == "odd (name) )"));
        drop(end);
        waiter.unwrap().join().unwrap();
    }
}
