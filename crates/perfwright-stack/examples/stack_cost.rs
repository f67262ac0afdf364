//! What capturing a stack costs: `cargo run --release -p perfwright-stack --example stack_cost`.
//!
//! Times `walk` and `copy_stack` inside a signal handler at a given depth (so on a real interrupted
//! thread), and the CPU time and memory of loading an [`Image`]. CPU time, best and median of many
//! rounds: absolute numbers mean little on a shared machine.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
fn main() {
    println!("stack capture exists on Linux only");
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux {
    use perfwright_stack::{CodeMap, Image, Regs, copy_stack, walk};
    use std::ffi::c_void;
    use std::hint::black_box;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    const ROUNDS: u64 = 1000;
    const CALLS: u64 = 100;
    static MAP: OnceLock<CodeMap> = OnceLock::new();
    static WALK_NANOS: AtomicU64 = AtomicU64::new(u64::MAX);
    static COPY_NANOS: AtomicU64 = AtomicU64::new(u64::MAX);
    static FRAMES: AtomicU64 = AtomicU64::new(0);
    static COPIED: AtomicU64 = AtomicU64::new(0);

    fn thread_cpu_nanos() -> u64 {
        // SAFETY: timespec is plain data, and the clock exists.
        unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        }
    }

    extern "C" fn on_signal(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
        let Some(map) = MAP.get() else { return };
        let mut addresses = [0; 512];
        let mut bytes = [0; 8192];
        // SAFETY: the context is the kernel's for this very signal, on this thread.
        unsafe {
            let regs = Regs::from_ucontext(context);
            let start = thread_cpu_nanos();
            let mut frames = 0;
            for _ in 0..CALLS {
                frames = walk(black_box(&regs), map, &mut addresses).len;
            }
            let walked = thread_cpu_nanos();
            let mut copied = 0;
            if let Some(bounds) = map.stack_bounds(regs.sp) {
                for _ in 0..CALLS {
                    copied = copy_stack(black_box(&regs), bounds, &mut bytes);
                }
            }
            let end = thread_cpu_nanos();
            FRAMES.store(frames as u64, Ordering::Relaxed);
            COPIED.store(copied as u64, Ordering::Relaxed);
            WALK_NANOS.fetch_min(walked - start, Ordering::Relaxed);
            COPY_NANOS.fetch_min(end - walked, Ordering::Relaxed);
        }
    }

    #[inline(never)]
    fn descend(depth: u32) -> u32 {
        if depth == 0 {
            // SAFETY: a plain system call.
            unsafe { libc::raise(libc::SIGUSR1) };
            return 1;
        }
        black_box(descend(black_box(depth - 1))) + 1
    }

    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    }

    pub(crate) fn main() -> std::io::Result<()> {
        let (before, start) = (resident_kib(), thread_cpu_nanos());
        let mut image = Image::load()?;
        let loaded = thread_cpu_nanos() - start;
        println!(
            "Image::load   {:.2} ms CPU, {} rows, {} KiB of heap, resident +{} KiB, \
             frame pointers {:.1} %",
            loaded as f64 / 1e6,
            image.table_rows(),
            image.heap_bytes() / 1024,
            resident_kib() - before,
            image.frame_pointer_share().unwrap_or(0.0) * 100.0,
        );
        let start = thread_cpu_nanos();
        for _ in 0..100 {
            image.refresh()?;
        }
        println!(
            "refresh       {:.1} us CPU",
            (thread_cpu_nanos() - start) as f64 / 100e3
        );

        MAP.get_or_init(|| image.code_map());
        // SAFETY: a zeroed sigaction is valid; the handler allocates nothing and locks nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
        }
        for depth in [0, 30, 100] {
            WALK_NANOS.store(u64::MAX, Ordering::Relaxed);
            COPY_NANOS.store(u64::MAX, Ordering::Relaxed);
            for _ in 0..ROUNDS {
                descend(depth);
            }
            let per_call = |nanos: &AtomicU64| nanos.load(Ordering::Relaxed) as f64 / CALLS as f64;
            println!(
                "{:3} frames    walk {:.0} ns, copy_stack of {} bytes {:.0} ns",
                FRAMES.load(Ordering::Relaxed),
                per_call(&WALK_NANOS),
                COPIED.load(Ordering::Relaxed),
                per_call(&COPY_NANOS),
            );
        }
        Ok(())
    }
}
