// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which hypervisor may follow which.
//!
//! Of two versions only the newer one can know the other. So the newer one has the say, whether it
//! comes or goes: its [`Header::oldest_peer`] is the oldest version that it takes the machine from,
//! and the oldest that it gives it back to. By default that is the minor version before its own
//! ([`crate::Version::oldest_peer`]): an update can be taken back, and an old image with known
//! faults cannot be brought back later than that. The same version may always follow itself.

use core::fmt;

use crate::{Header, Span, Version};

/// Why one hypervisor cannot follow another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incompatible {
    /// The core of the image has another contract.
    Contract {
        /// That of the image.
        image: u32,
        /// That of this hypervisor.
        ours: u32,
    },
    /// There is no format of saved state that both know.
    State {
        /// Those of the image.
        image: Span,
        /// Those of this hypervisor.
        ours: Span,
    },
    /// There is no version of the protocol of succession that both speak.
    Protocol {
        /// Those of the image.
        image: Span,
        /// Those of this hypervisor.
        ours: Span,
    },
    /// The image is older than this hypervisor gives the machine to.
    TooOld {
        /// Version of the image.
        image: Version,
        /// The oldest that would do.
        oldest: Version,
    },
    /// The image does not take the machine from a version as old as this hypervisor.
    TooNew {
        /// Version of this hypervisor.
        ours: Version,
        /// The oldest that the image takes it from.
        oldest: Version,
    },
}

/// Whether the hypervisor in an image can take the machine from `ours`.
///
/// # Errors
/// As [`Incompatible`] says.
pub fn compatible(image: &Header, ours: &Header) -> Result<(), Incompatible> {
    if image.contract != ours.contract {
        return Err(Incompatible::Contract { image: image.contract, ours: ours.contract });
    }
    if image.state.common(ours.state).is_none() {
        return Err(Incompatible::State { image: image.state, ours: ours.state });
    }
    if image.protocol.common(ours.protocol).is_none() {
        return Err(Incompatible::Protocol { image: image.protocol, ours: ours.protocol });
    }
    if image.version < ours.version && image.version < ours.oldest_peer {
        return Err(Incompatible::TooOld { image: image.version, oldest: ours.oldest_peer });
    }
    if image.version > ours.version && ours.version < image.oldest_peer {
        return Err(Incompatible::TooNew { ours: ours.version, oldest: image.oldest_peer });
    }
    Ok(())
}

impl fmt::Display for Incompatible {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incompatible::Contract { image, ours } => {
                write!(out, "the image's core has contract {image}, this one {ours}")
            }
            Incompatible::State { image, ours } => {
                write!(out, "the image knows formats of saved state {image}, this hypervisor {ours}")
            }
            Incompatible::Protocol { image, ours } => {
                write!(out, "the image speaks versions of the protocol {image}, this hypervisor {ours}")
            }
            Incompatible::TooOld { image, oldest } => {
                write!(
                    out,
                    "version {image} is too old: this hypervisor gives the machine to {oldest} or newer"
                )
            }
            Incompatible::TooNew { ours, oldest } => {
                write!(
                    out,
                    "this hypervisor is {ours}, and the image takes the machine from {oldest} or newer"
                )
            }
        }
    }
}

impl core::error::Error for Incompatible {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Header {
        Header::new(Version::parse(version).unwrap(), 1, Span::new(1, 2), Span::new(3, 4))
    }

    #[test]
    fn the_next_version_may_follow_and_be_taken_back() {
        for (image, ours) in [("0.2.0", "0.1.0"), ("0.1.0", "0.2.0"), ("0.1.0", "0.1.0"), ("0.1.3", "0.1.7")]
        {
            assert_eq!(compatible(&of(image), &of(ours)), Ok(()), "{image} {ours}");
        }
    }

    #[test]
    fn what_is_further_away_may_not() {
        let oldest = Version::new(0, 2, 0);
        assert_eq!(
            compatible(&of("0.1.9"), &of("0.3.0")),
            Err(Incompatible::TooOld { image: Version::new(0, 1, 9), oldest })
        );
        assert_eq!(
            compatible(&of("0.3.0"), &of("0.1.9")),
            Err(Incompatible::TooNew { ours: Version::new(0, 1, 9), oldest })
        );
        // Unless the newer one says that it can.
        let wide = Header { oldest_peer: Version::new(0, 1, 0), ..of("0.3.0") };
        assert_eq!(compatible(&of("0.1.9"), &wide), Ok(()));
        assert_eq!(compatible(&wide, &of("0.1.9")), Ok(()));
    }

    #[test]
    fn contract_state_and_protocol_have_to_meet() {
        let ours = of("0.1.0");
        let mut image = of("0.2.0");
        image.contract = 2;
        assert_eq!(compatible(&image, &ours), Err(Incompatible::Contract { image: 2, ours: 1 }));
        image = Header { state: Span::new(2, 9), protocol: Span::new(4, 4), ..of("0.2.0") };
        assert_eq!(compatible(&image, &ours), Ok(()));
        assert_eq!(image.state.common(ours.state), Some(2));
        image.state = Span::new(3, 9);
        assert!(compatible(&image, &ours).unwrap_err().to_string().contains("saved state 3 to 9"));
        image = Header { protocol: Span::new(1, 2), ..of("0.2.0") };
        assert!(matches!(compatible(&image, &ours), Err(Incompatible::Protocol { .. })));
    }
}
