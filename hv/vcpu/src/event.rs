// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events: what may be injected, and what has to be injected again.
//!
//! APM vol. 2, 15.7.2 (EXITINTINFO) and 15.20 (EVENTINJ).

use crate::InvalidField;
use abi::vcpu::event::{EXCEPTION, HAS_ERROR, SOFTWARE, VALID, is_injectable};

const TYPE: u64 = 7 << 8;
const VECTOR: u64 = 0xff;
const RESERVED: u64 = 0x7fff_f000;

/// The event to be injected, if there is one.
///
/// # Errors
/// [`InvalidField::Event`] for what [`is_injectable`] refuses.
pub const fn alleged(word: u64) -> Result<Option<u64>, InvalidField> {
    if !is_injectable(word) {
        return Err(InvalidField::Event);
    }
    Ok(if word & VALID == 0 { None } else { Some(word) })
}

/// The event whose delivery an exit cut short, if it has to be injected again; 0 otherwise.
///
/// Only the valid bit says that there is one: the emulator leaves junk behind. A software
/// interrupt, #BP and #OF come again by themselves, because RIP still points at the instruction.
#[must_use]
pub const fn cut_short(exit_int_info: u64) -> u64 {
    if exit_int_info & VALID == 0 {
        return 0;
    }
    match (exit_int_info & TYPE, exit_int_info & VECTOR) {
        (SOFTWARE, _) | (EXCEPTION, 3 | 4) => 0,
        _ if exit_int_info & HAS_ERROR == 0 => exit_int_info & (VALID | TYPE | VECTOR),
        _ => exit_int_info & !RESERVED,
    }
}

/// What to inject after an exception was intercepted that the guest is to have itself, where the
/// exit had cut short the delivery of `pending` (0 for nothing). An exception under way is dropped,
/// since its instruction raises it again; an interrupt would be lost, so it goes first, and the new
/// exception comes again with it.
#[must_use]
pub const fn reflected(exception: u64, pending: u64) -> u64 {
    if pending & VALID != 0 && pending & TYPE != EXCEPTION { pending } else { exception }
}

/// DR7 once an event is injected: delivering #DB clears GD (APM vol. 2, 13.1.1), injecting it does
/// not. A guest whose handler touches a debug register would get #DB for ever.
#[must_use]
pub const fn dr7_after(event: u64, dr7: u64) -> u64 {
    const GENERAL_DETECT: u64 = 1 << 13;
    let is_debug = event & (VALID | TYPE | VECTOR) == VALID | EXCEPTION | 1;
    if is_debug { dr7 & !GENERAL_DETECT } else { dr7 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::vcpu::event::{INTERRUPT, NMI};

    #[test]
    fn a_word_without_the_valid_bit_is_no_event() {
        assert_eq!(alleged(0x340), Ok(None));
        assert_eq!(cut_short(0x340), 0);
    }

    #[test]
    fn each_type_takes_its_vectors_only() {
        assert_eq!(alleged(VALID | 0x20), Ok(Some(VALID | 0x20)));
        assert_eq!(alleged(VALID | NMI | 2), Ok(Some(VALID | NMI | 2)));
        assert!(alleged(VALID | NMI | 3).is_err());
        assert!(alleged(VALID | EXCEPTION | 2).is_err());
        assert!(alleged(VALID | EXCEPTION | 32).is_err());
        assert!(alleged(VALID | EXCEPTION | HAS_ERROR | 14 | 7 << 32).is_ok());
        for reserved in [1, 5, 6, 7] {
            assert!(alleged(VALID | reserved << 8 | 14).is_err());
        }
        for bit in 12..31 {
            assert!(alleged(VALID | 0x20 | 1 << bit).is_err());
        }
    }

    #[test]
    fn what_was_cut_short_can_be_injected() {
        for word in (0..0x1000u64).map(|low| low | VALID) {
            let hardware = matches!(word & TYPE, INTERRUPT | NMI | EXCEPTION);
            let again = cut_short(word | 0x1234_0000);
            if hardware && alleged(word).is_ok() {
                assert!(again == 0 || alleged(again).is_ok(), "{word:x}");
            }
        }
    }

    #[test]
    fn an_interrupt_is_not_lost_to_an_exception() {
        let (debug, page_fault) = (VALID | EXCEPTION | 1, VALID | EXCEPTION | HAS_ERROR | 14);
        assert_eq!(reflected(debug, 0), debug);
        assert_eq!(reflected(debug, page_fault), debug);
        assert_eq!(reflected(debug, VALID | INTERRUPT | 0x20), VALID | INTERRUPT | 0x20);
        assert_eq!(reflected(debug, VALID | NMI | 2), VALID | NMI | 2);
    }

    #[test]
    fn a_debug_exception_and_nothing_else_clears_general_detect() {
        assert_eq!(dr7_after(VALID | EXCEPTION | 1, 0x2401), 0x401);
        for other in
            [0, EXCEPTION | 1, VALID | EXCEPTION | HAS_ERROR | 17, VALID | NMI | 2, VALID | INTERRUPT | 1]
        {
            assert_eq!(dr7_after(other, 0x2401), 0x2401, "{other:x}");
        }
    }

    #[test]
    fn a_software_interrupt_comes_again_by_itself() {
        assert_eq!(cut_short(VALID | SOFTWARE | 0x80), 0);
        assert_eq!(cut_short(VALID | EXCEPTION | 3), 0);
        assert_eq!(cut_short(VALID | EXCEPTION | 14), VALID | EXCEPTION | 14);
    }
}
