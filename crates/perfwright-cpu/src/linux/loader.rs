//! What the dynamic loader knows: where a thread's context word lies.

use std::ffi::{c_int, c_void};

use perfwright_stack::thread_pointer;

use super::handler::NO_CONTEXT;

/// The distance of the context word from the thread pointer, the same in every thread; [`NO_CONTEXT`] if it is
/// not: the word then belongs to a shared library, whose thread-local storage is allocated thread by thread,
/// perhaps at first use, which a signal handler must not cause.
pub(crate) fn context_offset() -> isize {
    let word = perfwright_context::word_address() as usize;
    let mut search = Search {
        word,
        is_static: false,
    };
    // SAFETY: the callback gets valid entries and our search, and does not panic.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    if search.is_static {
        word.wrapping_sub(thread_pointer() as usize) as isize
    } else {
        NO_CONTEXT
    }
}

struct Search {
    word: usize,
    is_static: bool,
}

/// Looks at the first object only: the executable, whose TLS segment is at a fixed place in every thread (the
/// ELF TLS ABI's "local exec" model).
unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr's contract, and the search that `context_offset` passed.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    // SAFETY: dl_iterate_phdr says where the program headers are and how many.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let start = info.dlpi_tls_data as usize;
    if let Some(tls) = headers.iter().find(|header| header.p_type == libc::PT_TLS)
        && start != 0
    {
        search.is_static = (start..start + tls.p_memsz as usize).contains(&search.word);
    }
    1
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use perfwright_context::{NodeId, Word};

    #[test]
    fn other_threads_have_their_word_at_the_same_distance() {
        let offset = context_offset();
        assert_ne!(offset, NO_CONTEXT, "a test program is an executable");
        std::thread::spawn(move || {
            perfwright_context::set(Word::new(NodeId::from_bits(42)));
            let address =
                (thread_pointer() as usize).wrapping_add_signed(offset) as *const AtomicU64;
            // SAFETY: what the test asserts: it is this thread's word.
            assert_eq!(unsafe { (*address).load(Ordering::Relaxed) }, 42);
        })
        .join()
        .unwrap();
    }
}
