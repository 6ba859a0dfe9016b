// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages as bytes: one frame of 24 bytes each, one encoding for each message.
//!
//! Owns the layout of version 1: `U`, `S`, version (1), kind, 16 bytes of body (numbers least
//! significant byte first, the rest zero), and a 32-bit FNV-1a of what stands before. The sum finds
//! torn frames; against a liar it is the checks of every field that count. What decodes encodes to
//! the same bytes again.

use crate::{Message, Reason, Resource};

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 24;
const BODY: usize = 16;
const HEAD: [u8; 3] = [b'U', b'S', 1];

/// Why a frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not exactly one frame.
    Length,
    /// Not a frame, or of another version.
    Head,
    /// The sum does not fit.
    Sum,
    /// No such message.
    Kind,
    /// A field has a value that no party writes.
    Field,
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl Message {
    /// The message's frame.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_BYTES] {
        let (kind, body) = self.body();
        let mut frame = [0; FRAME_BYTES];
        let bytes = HEAD.into_iter().chain([kind]).chain(body);
        frame.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        let sum = sum(frame.split_at(FRAME_BYTES - 4).0).to_le_bytes();
        frame.iter_mut().skip(FRAME_BYTES - 4).zip(sum).for_each(|(to, from)| *to = from);
        frame
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Anything that [`Message::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let frame: &[u8; FRAME_BYTES] = bytes.try_into().map_err(|_| DecodeError::Length)?;
        let (before, alleged) = frame.split_at(FRAME_BYTES - 4);
        let [head0, head1, head2, kind, body @ ..] = before else { return Err(DecodeError::Length) };
        if [*head0, *head1, *head2] != HEAD {
            return Err(DecodeError::Head);
        }
        if alleged != sum(before).to_le_bytes() {
            return Err(DecodeError::Sum);
        }
        let body: [u8; BODY] = body.try_into().map_err(|_| DecodeError::Length)?;
        let message = Self::from_body(*kind, body)?;
        // One encoding for each message: bytes that the fields do not use are zero.
        if message.body().1 == body { Ok(message) } else { Err(DecodeError::Field) }
    }

    fn body(&self) -> (u8, [u8; BODY]) {
        let mut body = [0; BODY];
        let mut put = |bytes: &[u8]| body.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let kind = match *self {
            Self::Greet { oldest, newest, state, features } => {
                let ([a, b], [c, d], [e, f]) =
                    (oldest.to_le_bytes(), newest.to_le_bytes(), state.to_le_bytes());
                let [g, h, i, j] = features.to_le_bytes();
                put(&[a, b, c, d, e, f, g, h, i, j]);
                1
            }
            Self::Welcome { version, features } => {
                let ([a, b], [c, d, e, f]) = (version.to_le_bytes(), features.to_le_bytes());
                put(&[a, b, c, d, e, f]);
                2
            }
            Self::Prepare(vm) => {
                put(&[vm]);
                3
            }
            Self::Ready(vm) => {
                put(&[vm]);
                4
            }
            Self::Commit(vm) => {
                put(&[vm]);
                5
            }
            Self::GiveBack(vm) => {
                put(&[vm]);
                6
            }
            Self::Offer(resource) => {
                put(&resource_bytes(resource));
                7
            }
            Self::Taken(resource) => {
                put(&resource_bytes(resource));
                8
            }
            Self::Abort(reason) => {
                put(&[reason_byte(reason)]);
                9
            }
            Self::Retire => 10,
        };
        (kind, body)
    }

    fn from_body(kind: u8, body: [u8; BODY]) -> Result<Self, DecodeError> {
        let [a, b, c, d, e, f, g, h, i, j, ..] = body;
        match kind {
            1 => {
                let [oldest, newest, state] = [[a, b], [c, d], [e, f]].map(u16::from_le_bytes);
                if oldest == 0 || oldest > newest {
                    return Err(DecodeError::Field);
                }
                Ok(Self::Greet { oldest, newest, state, features: u32::from_le_bytes([g, h, i, j]) })
            }
            2 => Ok(Self::Welcome {
                version: u16::from_le_bytes([a, b]),
                features: u32::from_le_bytes([c, d, e, f]),
            }),
            3 => Ok(Self::Prepare(a)),
            4 => Ok(Self::Ready(a)),
            5 => Ok(Self::Commit(a)),
            6 => Ok(Self::GiveBack(a)),
            7 => resource([a, b, c]).map(Self::Offer),
            8 => resource([a, b, c]).map(Self::Taken),
            9 => reason(a).map(Self::Abort),
            10 => Ok(Self::Retire),
            _ => Err(DecodeError::Kind),
        }
    }
}

const fn resource_bytes(resource: Resource) -> [u8; 3] {
    match resource {
        Resource::Vm(vm) => [1, vm, 0],
        Resource::Vcpu(vm, vcpu) => [2, vm, vcpu],
        Resource::Line(n) => [3, n, 0],
        Resource::Cpu(n) => [4, n, 0],
        Resource::Extent(n) => [5, n, 0],
    }
}

const fn resource(bytes: [u8; 3]) -> Result<Resource, DecodeError> {
    match bytes {
        [1, vm, 0] => Ok(Resource::Vm(vm)),
        [2, vm, vcpu] => Ok(Resource::Vcpu(vm, vcpu)),
        [3, n, 0] => Ok(Resource::Line(n)),
        [4, n, 0] => Ok(Resource::Cpu(n)),
        [5, n, 0] => Ok(Resource::Extent(n)),
        _ => Err(DecodeError::Field),
    }
}

const fn reason_byte(reason: Reason) -> u8 {
    match reason {
        Reason::Operator => 1,
        Reason::Incompatible => 2,
        Reason::Failed => 3,
        Reason::Restarted => 4,
    }
}

const fn reason(byte: u8) -> Result<Reason, DecodeError> {
    match byte {
        1 => Ok(Reason::Operator),
        2 => Ok(Reason::Incompatible),
        3 => Ok(Reason::Failed),
        4 => Ok(Reason::Restarted),
        _ => Err(DecodeError::Field),
    }
}
