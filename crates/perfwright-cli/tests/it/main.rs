//! The command line from outside.

mod ci;
mod help;
mod profile;
mod view;
