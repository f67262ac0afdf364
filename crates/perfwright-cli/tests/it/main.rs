//! The command line from outside.

#[path = "../../../../xtask/need.rs"]
mod need;

mod bench;
mod budget;
mod ci;
mod gate;
mod help;
mod profile;
mod view;
