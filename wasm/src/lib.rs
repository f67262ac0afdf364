//! The profile viewer: everything it shows is computed here, in Rust.
//!
//! [`Session`] is the noun to start from. You give it profiles as bytes and a [`State`] (what to show: view,
//! sample type, filters, search); it gives back what the visible part of the screen needs: boxes of a flame
//! view, rows of a table, the callers and callees of a function, the lines of a source file. A frame costs what is
//! visible, not what the profile holds. [`Session::save`] gives what the filters leave as a file for other tools.
//!
//! The model knows no browser and is tested natively. Built for wasm32 the crate also has a skin, [a few
//! functions](https://rustwasm.github.io/docs/wasm-bindgen/) that a worker calls; `page/` holds the page's HTML, style and
//! scripts, `pack/` puts everything into one file.
//!
//! ```
//! use perfwright_viewer::{Pane, Session, State, Window};
//!
//! let mut session = Session::new();
//! session.open("cpu.folded", b"main;parse 12\nmain;render 30\n")?;
//! session.apply(State::default());
//! let boxes = session.boxes(Pane::Main, &Window::whole(1000.0, 20));
//! assert_eq!(boxes.labels(), ["all", "main", "render", "parse"]);
//! # Ok::<(), perfwright_format::Error>(())
//! ```
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

mod model;
#[cfg(target_arch = "wasm32")]
mod skin;

pub use model::{
    Boxes, Column, Flame, Normalize, Pane, Pattern, Progress, Saved, Session, State, Step,
    StepKind, Unit, View, Window,
};
