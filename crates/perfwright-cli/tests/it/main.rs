//! The command line from outside.

mod bench;
mod ci;
mod help;
mod profile;
mod view;
