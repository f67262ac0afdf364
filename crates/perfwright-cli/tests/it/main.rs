//! The command line from outside.

mod help;
mod profile;
mod view;
