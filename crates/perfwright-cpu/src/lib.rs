//! A CPU and wall-clock sampling profiler that runs inside the process it profiles
