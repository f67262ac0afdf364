//! The modules of this process, against what other sources say.

use crate::symbols::name;
use perfwright_stack::{Image, Module, build_id_of, build_id_of_bytes};
use std::ffi::{CStr, CString, c_void};
use std::path::Path;

/// The build id by looking for the note's fixed bytes: name size 4, SHA-1 size 20, type 3, "GNU".
fn build_id_by_search(bytes: &[u8]) -> Vec<u8> {
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = bytes
        .windows(note.len())
        .position(|window| window == note)
        .expect("a build id");
    bytes[at + note.len()..][..20].to_vec()
}

fn module(image: &Image, is_it: impl Fn(&str) -> bool) -> &Module {
    let mut modules = image.modules().iter();
    modules
        .find(|module| is_it(&module.path.to_string_lossy()))
        .expect("loaded")
}

#[test]
fn build_ids_are_those_in_the_files() {
    let image = Image::load().expect("own maps");
    let exe = std::env::current_exe().expect("a path");
    let main = image
        .modules()
        .iter()
        .find(|module| module.is_main)
        .expect("an executable");
    assert_eq!(main.path, exe);
    let libc = module(&image, |path| path.contains("/libc.so"));
    for module in [main, libc] {
        let bytes = std::fs::read(&module.path).expect("readable");
        let expected = build_id_by_search(&bytes);
        assert_eq!(module.build_id, expected);
        assert_eq!(build_id_of_bytes(&bytes), Some(expected.clone()));
        assert_eq!(build_id_of(&module.path).expect("readable"), Some(expected));
    }
}

#[test]
fn the_vdso_is_a_module() {
    let image = Image::load().expect("own maps");
    let vdso = module(&image, |path| path == "[vdso]");
    // SAFETY: the kernel maps the vdso, two pages at least in its file, for the life of the
    // process.
    let bytes = unsafe {
        let start = libc::getauxval(libc::AT_SYSINFO_EHDR);
        assert_eq!(start, vdso.range.start);
        std::slice::from_raw_parts(
            start as *const u8,
            (vdso.range.end - vdso.range.start) as usize,
        )
    };
    assert_eq!(vdso.build_id, build_id_by_search(bytes));
    assert!(!vdso.is_main);
}

#[test]
fn the_bias_leads_from_functions_to_their_symbols() {
    let image = Image::load().expect("own maps");
    let function = build_id_by_search as *const () as u64;
    assert!(name(&image, function).contains("build_id_by_search"));
    let module = image.module_at(function).expect("own code");
    assert!(module.is_main && module.range.contains(&function));
    assert!(image.code_map().is_code(function));
}

#[test]
fn this_executable_has_frame_pointers_and_libc_has_not() {
    let image = Image::load().expect("own maps");
    let share = image.frame_pointer_share().expect("call frame information");
    assert_eq!(image.has_frame_pointers(), Some(true), "{share}");
    assert!(image.heap_bytes() < 1 << 20, "{}", image.heap_bytes());
    assert!(image.table_rows() > 10_000);
}

#[test]
fn a_file_without_a_build_id_has_none() {
    assert_eq!(build_id_of_bytes(b"\x7fELF"), None);
    assert_eq!(build_id_of_bytes(&[]), None);
    assert_eq!(
        build_id_of(Path::new("/proc/self/maps")).expect("readable"),
        None
    );
    assert!(build_id_of(Path::new("/nonexistent")).is_err());
}

/// A library that is not linked into the test, opened and closed again.
fn open_library() -> *mut c_void {
    let candidates = [
        c"libm.so.6",
        c"libresolv.so.2",
        c"libnss_files.so.2",
        c"libthread_db.so.1",
    ];
    let open = |name: &&CStr| {
        // SAFETY: a NUL-terminated name of a library whose constructors do nothing of note.
        unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) }
    };
    candidates
        .iter()
        .map(open)
        .find(|handle| !handle.is_null())
        .expect("some system library")
}

#[test]
fn opening_and_closing_a_library_is_noticed() {
    let mut image = Image::load().expect("own maps");
    let paths = |image: &Image| -> Vec<_> {
        // Another test opens a library of its own, with a name of its own.
        let is_other = |path: &Path| path.to_string_lossy().contains("perfwright-stack-");
        let modules = image
            .modules()
            .iter()
            .filter(|module| !is_other(&module.path));
        modules
            .map(|module| (module.path.clone(), module.range.clone()))
            .collect()
    };
    let before = paths(&image);
    let handle = open_library();
    assert!(image.refresh().expect("own maps"));
    let opened: Vec<_> = paths(&image)
        .into_iter()
        .filter(|path| !before.contains(path))
        .collect();
    assert_eq!(opened.len(), 1, "{opened:?}");
    let (path, range) = &opened[0];
    let id = image
        .module_at(range.start)
        .expect("opened")
        .build_id
        .clone();
    assert_eq!(Some(&id), build_id_of(path).expect("readable").as_ref());
    assert!(image.code_map().is_code(range.start));

    // SAFETY: a handle from dlopen, closed once.
    assert_eq!(unsafe { libc::dlclose(handle) }, 0);
    assert!(image.refresh().expect("own maps"));
    assert_eq!(paths(&image), before);
    assert!(!image.code_map().is_code(range.start));
    // Samples taken just before can still be told.
    assert_eq!(
        image.module_at(range.start).map(|module| &module.build_id),
        Some(&id)
    );
}

/// A library whose file is gone (an upgrade while the program runs) is read from memory.
#[test]
fn a_deleted_library_is_read_from_memory() {
    let mut image = Image::load().expect("own maps");
    let libc = module(&image, |path| path.contains("/libc.so"))
        .path
        .clone();
    let libm = libc.with_file_name("libm.so.6");
    let copy = std::env::temp_dir().join(format!("perfwright-stack-{}.so", std::process::id()));
    std::fs::copy(&libm, &copy).expect("a system with libm");
    let name = CString::new(copy.to_string_lossy().into_owned()).expect("no NUL");
    // SAFETY: as in `open_library`.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    std::fs::remove_file(&copy).expect("our own file");
    assert!(!handle.is_null());

    let rows = image.table_rows();
    assert!(image.refresh().expect("own maps"));
    let deleted = module(&image, |path| path.ends_with(".so (deleted)"));
    assert_eq!(
        Some(&deleted.build_id),
        build_id_of(&libm).expect("readable").as_ref()
    );
    assert!(
        image.table_rows() > rows + 1000,
        "{} then {}",
        rows,
        image.table_rows()
    );
    // SAFETY: a handle from dlopen, closed once.
    assert_eq!(unsafe { libc::dlclose(handle) }, 0);
}

#[test]
fn generated_code_is_code_without_a_module() {
    let mut image = Image::load().expect("own maps");
    // SAFETY: a fresh mapping, never executed.
    let code = unsafe {
        let access = libc::PROT_READ | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0)
    };
    assert_ne!(code, libc::MAP_FAILED);
    assert!(image.refresh().expect("own maps"));
    assert!(image.code_map().is_code(code as u64));
    assert!(image.module_at(code as u64).is_none());
    // SAFETY: the mapping made above.
    unsafe { libc::munmap(code, 4096) };
}
