//! dhat: every allocation's stack. Told `peak`, it writes a profile of the program with the peak to the file
//! that it is given.

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, file] = &words[..]
        && word == "peak"
    {
        let _profiler = dhat::Profiler::builder()
            .trim_backtraces(None)
            .file_name(file)
            .build();
        perfwright_heap_benches::peak::run();
        return Ok(());
    }
    // Testing mode, which writes no file at the end.
    perfwright_heap_benches::child(|| dhat::Profiler::builder().testing().build())
}
