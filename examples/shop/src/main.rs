//! A small web shop.
fn main() {}
