//! The command line of Perfwright: profile a program, look at profiles, compare and convert them
