//! The shop from outside: its routes in process, and the program itself.

mod program;
mod routes;
mod shop;
mod storage;
