//! What a thread is working on: a context word that a signal handler can read, and what it stands for
