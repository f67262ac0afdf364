//! The soak, short.

use std::time::Duration;

use crate::support::cpu_turn;

#[path = "../../examples/soak.rs"]
mod soak;

#[test]
fn under_load_nothing_is_lost() {
    let _turn = cpu_turn();
    let outcome = soak::run(1_600, Duration::from_secs(3_600));
    assert_eq!(outcome.begun, outcome.counted, "{outcome:?}");
    assert_eq!(outcome.in_flight, 0, "{outcome:?}");
    assert_eq!(outcome.panics[0], outcome.panics[1], "{outcome:?}");
    // Of 16 clients 9 read whole answers: 6 ordinary ones, 2 uploads, 1 stream.
    assert_eq!(outcome.answers, 900, "{outcome:?}");
    // 2 of 16 handlers panic and 2 bodies do.
    assert_eq!(outcome.panics[1], 400, "{outcome:?}");
    let [early, late] = outcome.cancelled;
    assert!(early > 0 && late > 0, "{outcome:?}");
    assert!(outcome.captures >= 1, "{outcome:?}");
}
