use std::fs;

use super::*;

/// A folder that stands for `/`.
struct Root(tempfile::TempDir);

impl Root {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            root.write(path, text);
        }
        root
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn reader(&self) -> MemoryReader {
        MemoryReader::rooted(self.0.path())
    }

    /// Used, reclaimable, limit.
    fn charge(&self) -> [Option<u64>; 3] {
        let charge = self.reader().charge();
        [charge.used, charge.reclaimable, charge.limit]
    }
}

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const V1: &str = "23 1 8:1 / / rw - ext4 /dev/sda rw\n\
    32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

#[test]
fn this_process_has_a_size() {
    let memory = MemoryReader::new().read();
    #[cfg(target_os = "linux")]
    {
        let resident = memory.resident_bytes.unwrap();
        assert!(resident > 100 << 10 && resident < 4 << 30, "{memory:?}");
        assert!(memory.virtual_bytes.unwrap() >= resident, "{memory:?}");
        // The kernel counts residents per thread in batches: the two differ by some pages either way.
        let peak = memory.peak_resident_bytes.unwrap();
        assert!(peak + (1 << 20) > resident, "{memory:?}");
    }
    assert_ne!(memory.cgroup_used_bytes, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn the_peak_stays_when_memory_goes() {
    let reader = MemoryReader::new();
    let before = reader.read().resident_bytes.unwrap();
    let block = std::hint::black_box(vec![1_u8; 64 << 20]);
    let with = reader.read().resident_bytes.unwrap();
    drop(block);
    let after = reader.read();
    assert!(with >= before + (60 << 20), "{before} {with}");
    assert!(
        after.resident_bytes.unwrap() < with - (50 << 20),
        "{with} {after:?}"
    );
    assert!(
        after.peak_resident_bytes.unwrap() > with - (1 << 20),
        "{with} {after:?}"
    );
}

#[test]
fn version_2_is_the_cgroup_of_the_process() {
    let root = Root::new(&[
        ("proc/self/cgroup", "0::/system.slice/shop.service\n"),
        ("proc/self/mountinfo", V2),
        (
            "sys/fs/cgroup/system.slice/shop.service/memory.current",
            "3000\n",
        ),
        (
            "sys/fs/cgroup/system.slice/shop.service/memory.max",
            "4000\n",
        ),
        (
            "sys/fs/cgroup/system.slice/shop.service/memory.stat",
            "anon 1500\nfile 1500\nactive_file 400\ninactive_file 1000\n",
        ),
    ]);
    assert_eq!(root.charge(), [Some(3000), Some(1000), Some(4000)]);
    let memory = root.reader().read();
    assert_eq!(memory.cgroup_working_set_bytes(), Some(2000));
    assert_eq!(memory.cgroup_share(), Some(0.5));
    // The limit may change while the process runs.
    let reader = root.reader();
    root.write(
        "sys/fs/cgroup/system.slice/shop.service/memory.max",
        "max\n",
    );
    assert_eq!(reader.read().cgroup_limit_bytes, None);
    assert_eq!(reader.read().cgroup_share(), None);
}

#[test]
fn the_limit_may_be_one_of_a_cgroup_above() {
    let root = Root::new(&[
        ("proc/self/cgroup", "0::/pod/container\n"),
        ("proc/self/mountinfo", V2),
        ("sys/fs/cgroup/pod/container/memory.current", "100\n"),
        ("sys/fs/cgroup/pod/container/memory.max", "max\n"),
        ("sys/fs/cgroup/pod/memory.current", "700\n"),
        ("sys/fs/cgroup/pod/memory.max", "1000\n"),
    ]);
    assert_eq!(root.charge(), [Some(700), None, Some(1000)]);
    // Nearest its limit is now the container.
    root.write("sys/fs/cgroup/pod/container/memory.max", "110\n");
    assert_eq!(root.charge(), [Some(100), None, Some(110)]);
    root.write("sys/fs/cgroup/pod/container/memory.max", "500\n");
    assert_eq!(root.charge(), [Some(700), None, Some(1000)]);
}

#[test]
fn in_a_namespace_the_mount_is_the_cgroup() {
    let files = [
        ("sys/fs/cgroup/memory.current", "50\n"),
        ("sys/fs/cgroup/memory.max", "100\n"),
    ];
    for cgroup in ["0::/\n", "0::/../outside\n"] {
        let root = Root::new(&files);
        root.write("proc/self/cgroup", cgroup);
        root.write("proc/self/mountinfo", V2);
        assert_eq!(root.charge(), [Some(50), None, Some(100)], "{cgroup}");
    }
}

#[test]
fn version_1_has_a_number_for_no_limit() {
    let root = Root::new(&[
        ("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu:/\n0::/\n"),
        ("proc/self/mountinfo", V1),
        (
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes",
            "800\n",
        ),
        (
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
            "1600\n",
        ),
        (
            "sys/fs/cgroup/memory/docker/abc/memory.stat",
            "inactive_file 7\ntotal_inactive_file 300\n",
        ),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "90000\n"),
        (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        ),
    ]);
    assert_eq!(root.charge(), [Some(800), Some(300), Some(1600)]);
    root.write(
        "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes",
        "9223372036854771712\n",
    );
    assert_eq!(root.charge(), [Some(800), Some(300), None]);
}

#[test]
fn a_part_of_the_tree_may_be_mounted() {
    let root = Root::new(&[
        ("proc/self/cgroup", "4:memory:/docker/abc/inner\n"),
        (
            "proc/self/mountinfo",
            "35 31 0:32 /docker/abc /mnt/mem rw - cgroup cgroup rw,memory\n",
        ),
        ("mnt/mem/inner/memory.usage_in_bytes", "5\n"),
        ("mnt/mem/inner/memory.limit_in_bytes", "10\n"),
    ]);
    assert_eq!(root.charge(), [Some(5), None, Some(10)]);
}

#[test]
fn what_is_missing_or_strange_is_unknown() {
    assert_eq!(Root::new(&[]).charge(), [None; 3]);
    let broken = [
        ("proc/self/cgroup", "what\n4:memory\n0::/a\n"),
        (
            "proc/self/mountinfo",
            "30 23 - cgroup2\n - \n30 23 0:26 / /sys/fs/cgroup rw - cgroup2 c rw\n",
        ),
        ("proc/self/status", "VmHWM:\t lots kB\n"),
        ("sys/fs/cgroup/a/memory.current", "-5\n"),
        ("sys/fs/cgroup/a/memory.max", "\u{fffd}\n"),
    ];
    let root = Root::new(&broken);
    assert_eq!(root.charge(), [None; 3]);
    assert_eq!(root.reader().read().peak_resident_bytes, None);
    root.write(
        "proc/self/status",
        "Name:\tx\nVmHWM:\t   12 kB\nVmRSS:\t 8 kB\n",
    );
    assert_eq!(root.reader().read().peak_resident_bytes, Some(12 << 10));
}
