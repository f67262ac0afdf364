//! The threads of this process, found without their cooperation in `/proc/self/task`.

use std::fs;
use std::os::linux::fs::MetadataExt;

/// A thread as `/proc` has it. A TID may come again after the thread ended; with the start time it does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ThreadInfo {
    pub(crate) tid: i32,
    /// Since boot, in clock ticks (proc(5): `starttime`).
    pub(crate) start_time: u64,
    pub(crate) name: String,
}

/// How many threads there are, at the cost of one system call: procfs counts them as links of the folder.
pub(crate) fn count() -> Option<u64> {
    Some(fs::metadata("/proc/self/task").ok()?.st_nlink())
}

/// The TIDs of all threads.
pub(crate) fn tids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Name and start time; `None` if the thread is gone.
pub(crate) fn info(tid: i32) -> Option<ThreadInfo> {
    let stat = fs::read(format!("/proc/self/task/{tid}/stat")).ok()?;
    let (name, start_time) = parse_stat(&String::from_utf8_lossy(&stat))?;
    Some(ThreadInfo {
        tid,
        start_time,
        name,
    })
}

/// `pid (name) state ppid ...`: the name may hold spaces and parentheses, so its end is the last one.
fn parse_stat(stat: &str) -> Option<(String, u64)> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(open + 1..close)?.to_string();
    // Field 22; the state behind the name is field 3.
    let start_time = stat
        .get(close + 1..)?
        .split_ascii_whitespace()
        .nth(22 - 3)?
        .parse()
        .ok()?;
    Some((name, start_time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::sys::gettid;

    #[test]
    fn names_with_parentheses_are_whole() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 64 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 12";
        assert_eq!(parse_stat(stat), Some(("a) b (c".into(), 4711)));
        assert_eq!(parse_stat("7 (x"), None);
    }

    #[test]
    fn a_thread_finds_itself() {
        let name = "odd) name (x";
        let spawned = std::thread::Builder::new().name(name.into()).spawn(|| {
            let tid = gettid();
            assert!(tids().contains(&tid));
            (tid, info(tid).unwrap())
        });
        let (tid, info) = spawned.unwrap().join().unwrap();
        assert_eq!((info.tid, info.name.as_str()), (tid, name));
        assert!(count().unwrap() >= 2);
    }
}
