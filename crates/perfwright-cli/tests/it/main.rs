//! The command line from outside.

mod help;
mod view;
