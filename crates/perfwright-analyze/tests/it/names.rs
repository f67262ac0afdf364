//! Names of functions and files.

use perfwright_analyze::{
    Origin, crate_of, crate_of_path, is_plumbing, is_pseudo, short_name, short_path,
};

#[test]
fn crates() {
    for (name, expected) in [
        ("shop::main", Some("shop")),
        ("shop::main::{{closure}}", Some("shop")),
        ("shop[0f1e2d3c4b5a6978]::main::{closure#0}", Some("shop")),
        ("std::rt::lang_start::<()>", Some("std")),
        (
            "<alloc::vec::Vec<T> as core::fmt::Debug>::fmt",
            Some("alloc"),
        ),
        ("<alloc::vec::Vec<T>>::push", Some("alloc")),
        (
            "<&alloc::string::String as core::fmt::Display>::fmt",
            Some("alloc"),
        ),
        (
            "<&'a mut shop::Order as core::fmt::Display>::fmt",
            Some("shop"),
        ),
        ("<&T as core::fmt::Debug>::fmt", Some("core")),
        ("<u64 as serde::Serialize>::serialize", Some("serde")),
        ("<[T] as alloc::slice::ToOwned>::to_owned", Some("alloc")),
        ("<dyn core::any::Any>::is::<shop::T>", Some("core")),
        (
            "<(dyn tracing::Subscriber + 'static)>::downcast",
            Some("tracing"),
        ),
        (
            "<fn() -> shop::T as core::ops::FnOnce<()>>::call_once",
            Some("core"),
        ),
        ("<<shop::A as shop::B>::C as other::D>::e", Some("shop")),
        ("<F as hyper::Service<R>>::call", Some("hyper")),
        (
            "core::fmt::num::imp::<impl core::fmt::Display for u64>::fmt",
            Some("core"),
        ),
        ("main", None),
        ("_start", None),
        ("[kernel or lost]", None),
        ("github.com/x/y.(*T).Run", None),
        ("<", None),
        ("<>::", None),
        ("<a", None),
        ("", None),
        ("::x", None),
        ("0x12::a", None),
    ] {
        assert_eq!(crate_of(name), expected, "{name}");
    }
}

#[test]
fn crates_by_path() {
    let registry = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
    for (path, expected) in [
        (format!("{registry}/tokio-1.45.0/src/lib.rs"), Some("tokio")),
        (
            format!("{registry}/libsqlite3-sys-0.30.1/sqlite3/sqlite3.c"),
            Some("libsqlite3-sys"),
        ),
        (
            format!("{registry}/x-2y-1.0.0-rc.1+build-2/src/lib.rs"),
            Some("x-2y"),
        ),
        (
            "/home/dev/.cargo/git/checkouts/mio-abc123/99ff/src/lib.rs".to_owned(),
            Some("mio"),
        ),
        (
            "C:\\Users\\me\\.cargo\\registry\\src\\idx\\mio-1.0.0\\src\\lib.rs".to_owned(),
            Some("mio"),
        ),
        ("src/main.rs".to_owned(), None),
        ("registry/src/".to_owned(), None),
    ] {
        assert_eq!(crate_of_path(&path), expected, "{path}");
    }
}

#[test]
fn paths() {
    let roots = ["/home/me", "/home/me/shop/"];
    for (path, expected) in [
        (
            "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/fmt/mod.rs",
            "core/src/fmt/mod.rs",
        ),
        (
            "/usr/lib/rustlib/src/rust/library/alloc/src/vec/mod.rs",
            "alloc/src/vec/mod.rs",
        ),
        (
            "/rust/deps/hashbrown-0.15.2/src/map.rs",
            "hashbrown-0.15.2/src/map.rs",
        ),
        (
            "/r/.cargo/registry/src/index.crates.io-1/tokio-1.45.0/src/lib.rs",
            "tokio-1.45.0/src/lib.rs",
        ),
        ("/home/me/shop/src/main.rs", "src/main.rs"),
        ("/home/me/other/src/main.rs", "other/src/main.rs"),
        ("/home/meg/src/main.rs", "/home/meg/src/main.rs"),
        (
            "/usr/local/lib/rust-src-1.95.0/library/core/src/ops/function.rs",
            "core/src/ops/function.rs",
        ),
        (
            "/home/me/shop/library/books/src/lib.rs",
            "library/books/src/lib.rs",
        ),
        ("./src/main.rs", "src/main.rs"),
        ("", ""),
    ] {
        assert_eq!(short_path(path, &roots), expected, "{path}");
    }
}

#[test]
fn short_names() {
    for (name, expected) in [
        ("shop::db::load::h0123456789abcdef", "shop::db::load"),
        ("shop[0f1e2d3c4b5a6978]::main", "shop::main"),
        (
            "shop::main::{{closure}}::{{closure}}",
            "shop::main::{closure}::{closure}",
        ),
        ("shop::main::{closure#0}", "shop::main::{closure}"),
        (
            "{closure#0}<demo::main::{closure_env#1}, u64>",
            "{closure}<_>",
        ),
        (
            "core::ptr::drop_in_place<alloc::string::String>",
            "core::ptr::drop_in_place<String>",
        ),
        ("alloc::vec::Vec<T,A>::push", "alloc::vec::Vec<T,A>::push"),
        (
            "<alloc::vec::Vec<T> as core::iter::traits::collect::FromIterator<T>>::from_iter",
            "<alloc::vec::Vec<T> as FromIterator<T>>::from_iter",
        ),
        ("<shop::Order>::total", "shop::Order::total"),
        ("std::rt::lang_start::<()>", "std::rt::lang_start<()>"),
        (
            "a::f::<core::result::Result<alloc::vec::Vec<shop::Order>, sqlx_core::error::Error>>",
            "a::f<_>",
        ),
        (
            "core::ops::function::FnOnce::call_once::<shop::main::{closure#0}, ()>",
            "core::ops::function::FnOnce::call_once<main::{closure}, ()>",
        ),
        (
            "<fn(u8) -> u8 as core::ops::FnOnce<(u8,)>>::call_once",
            "<fn(u8) -> u8 as FnOnce<(u8,)>>::call_once",
        ),
        (
            "<[u8; 8] as core::fmt::Debug>::fmt",
            "<[u8; 8] as Debug>::fmt",
        ),
        ("std::operator<< <char>", "std::operator<< <char>"),
        ("a<b", "a<b"),
        ("a>b", "a>b"),
        ("[kernel or lost]", "[kernel or lost]"),
        ("memcpy", "memcpy"),
        ("", ""),
    ] {
        assert_eq!(short_name(name), expected, "{name}");
    }
}

#[test]
fn origins() {
    let registry = "/r/.cargo/registry/src/index-1/tokio-1.45.0/src/lib.rs";
    for (name, file, expected) in [
        ("shop::main", Some("src/main.rs"), Origin::Own),
        ("tokio::run", Some(registry), Origin::Dependency),
        ("tokio::run", None, Origin::Dependency),
        (
            "<perfwright_heap::allocator::SampledAlloc<A> as core::alloc::global::GlobalAlloc>::alloc",
            Some("/home/me/perfwright/crates/perfwright-heap/src/allocator.rs"),
            Origin::Dependency,
        ),
        ("core::fmt::write", Some("src/main.rs"), Origin::Std),
        (
            "hashbrown::map::get",
            Some("/rust/deps/hashbrown-0.15.2/src/map.rs"),
            Origin::Std,
        ),
        (
            "sqlite3VdbeExec",
            Some("/r/registry/src/i-1/libsqlite3-sys-0.30.1/sqlite3.c"),
            Origin::Dependency,
        ),
        ("memcpy", Some("/build/glibc/string.c"), Origin::Native),
        ("memcpy", None, Origin::Native),
        (
            "{closure#0}",
            Some("/home/me/shop/src/main.rs"),
            Origin::Own,
        ),
        (
            "call_once<fn(), ()>",
            Some("/rustc/abc/library/core/src/ops/function.rs"),
            Origin::Std,
        ),
        ("[kernel or lost]", None, Origin::Pseudo),
    ] {
        assert_eq!(Origin::of(name, file), expected, "{name}");
    }
}

#[test]
fn remarks_are_told_from_code() {
    for (name, expected) in [
        ("[kernel or lost]", true),
        ("[kernel or signals blocked]", true),
        ("[T]::concat", false),
        ("[]", false),
        ("main", false),
    ] {
        assert_eq!(is_pseudo(name), expected, "{name}");
    }
}

#[test]
fn plumbing_is_told_from_work() {
    let registry = |file: &str| format!("/home/me/.cargo/registry/src/index.crates.io-1/{file}");
    for (name, file, expected) in [
        ("tokio::runtime::task::raw::poll", None, true),
        (
            "<hyper::proto::h1::Conn<I, B, T>>::poll_read_head",
            None,
            true,
        ),
        (
            "<axum::routing::Route as tower_service::Service<R>>::call",
            None,
            true,
        ),
        ("h2::proto::streams::recv::Recv::recv_data", None, true),
        (
            "<http_body_util::combinators::Map<B> as http_body::Body>::poll_frame",
            None,
            true,
        ),
        ("<tonic::transport::Server as F>::poll", None, true),
        (
            "<tracing::instrument::Instrumented<T> as core::future::Future>::poll",
            None,
            true,
        ),
        (
            "<alloc::boxed::Box<F> as core::future::Future>::poll",
            None,
            true,
        ),
        (
            "poll",
            Some(registry("pin-project-lite-0.2.14/src/lib.rs")),
            true,
        ),
        ("poll", Some(registry("serde_json-1.0.0/src/de.rs")), false),
        ("__libc_start_main", None, true),
        ("__rust_try", None, true),
        ("tracing_subscriber::fmt::format", None, false),
        ("shop::tower::climb", None, false),
        (
            "<shop::Search as tower_service::Service<R>>::call",
            None,
            false,
        ),
        ("sqlite3_step", None, false),
    ] {
        assert_eq!(is_plumbing(name, file.as_deref()), expected, "{name}");
    }
}
