//! The command line from outside.

mod bench;
mod budget;
mod ci;
mod gate;
mod help;
mod profile;
mod view;
