// SPDX-License-Identifier: MIT OR Apache-2.0
//! Version numbers of hypervisors.

use core::fmt;

/// A version: three numbers, compared from the left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The first number.
    pub major: u16,
    /// The second.
    pub minor: u16,
    /// The third.
    pub patch: u16,
}

impl Version {
    /// A version.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `0.2.0`: three decimal numbers and nothing else.
    #[must_use]
    pub const fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let mut numbers = [0_u16; 3];
        let mut digits = 0;
        let mut which = 0;
        let mut at = 0;
        // Indices stay below the lengths that the conditions name. A loop and no iterator: this
        // runs at compile time.
        while at < text.len() {
            let byte = text[at];
            if byte == b'.' && digits > 0 && which < 2 {
                which += 1;
                digits = 0;
            } else if byte.is_ascii_digit() && digits < 5 {
                let number = numbers[which] as u32 * 10 + (byte - b'0') as u32;
                if number > u16::MAX as u32 {
                    return None;
                }
                numbers[which] = number as u16;
                digits += 1;
            } else {
                return None;
            }
            at += 1;
        }
        if which != 2 || digits == 0 {
            return None;
        }
        Some(Self::new(numbers[0], numbers[1], numbers[2]))
    }

    /// The oldest version that this one exchanges a machine with, unless its header says otherwise:
    /// the minor version before it. The first one of a major version knows none before it.
    #[must_use]
    pub const fn oldest_peer(self) -> Self {
        Self::new(self.major, self.minor.saturating_sub(1), 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn three_numbers_are_a_version_and_nothing_else_is() {
        assert_eq!(Version::parse("0.2.0"), Some(Version::new(0, 2, 0)));
        assert_eq!(Version::parse("65535.10.003"), Some(Version::new(65535, 10, 3)));
        for text in [
            "",
            "1",
            "1.2",
            "1.2.",
            ".1.2",
            "1..2",
            "1.2.3.4",
            "1.2.3-rc",
            "65536.0.0",
            "000001.0.0",
            "a.b.c",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert_eq!(Version::new(1, 20, 3).to_string(), "1.20.3");
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let order = ["0.1.0", "0.1.9", "0.1.10", "0.2.0", "1.0.0"].map(|text| Version::parse(text).unwrap());
        assert!(order.is_sorted());
        assert_eq!(Version::new(0, 2, 7).oldest_peer(), Version::new(0, 1, 0));
        assert_eq!(Version::new(1, 0, 7).oldest_peer(), Version::new(1, 0, 0));
    }
}
