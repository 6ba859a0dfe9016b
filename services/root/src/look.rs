// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a service is alive, from its answers to root's looks.
//!
//! Time is counted in looks. Root has the highest priority: where its looks come late the CPU
//! itself was kept from running, and the service with it.

/// What root remembers of one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    asked: bool,
    missed: u32,
}

impl Pulse {
    /// Root looks: `answered` since the last look or not. Returns false for a service that has
    /// missed more than `most` looks on end; otherwise it is to be asked again.
    #[must_use]
    pub fn look(&mut self, answered: bool, most: u32) -> bool {
        self.missed = if answered || !self.asked { 0 } else { self.missed.saturating_add(1) };
        self.asked = true;
        self.missed <= most
    }
}

#[cfg(test)]
mod tests {
    use super::Pulse;

    #[test]
    fn one_that_answers_late_is_alive() {
        let mut pulse = Pulse::default();
        for round in 0..100 {
            assert!(pulse.look(round % 4 == 3, 3));
        }
    }

    #[test]
    fn silence_is_found_after_so_many_looks() {
        let mut pulse = Pulse::default();
        assert_eq!((0..10).filter(|_| pulse.look(false, 3)).count(), 4);
        assert!(pulse.look(true, 3));
    }

    #[test]
    fn the_first_look_finds_nothing_missed() {
        assert!(Pulse::default().look(false, 0));
    }
}
