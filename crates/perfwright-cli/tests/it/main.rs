//! The command line from outside.

mod bench;
mod budget;
mod ci;
mod help;
mod profile;
mod view;
