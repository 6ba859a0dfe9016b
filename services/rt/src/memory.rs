// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory objects: Untyped, CNode, Frame.

use abi::CPtr;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::object::ObjectType;
use abi::rights::Rights;

use crate::cap::{CNode, Cap, Frame, Untyped};

/// What an untyped capability covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntypedState {
    /// Physical address.
    pub base: u64,
    /// log2 of its bytes.
    pub size_bits: u8,
    /// Bytes not yet used.
    pub free: u64,
}

impl Cap<Untyped> {
    /// Makes `count` objects of `1 << size_bits` bytes; their capabilities go to `node` from slot
    /// `first` on.
    ///
    /// # Errors
    /// See [`Invocation::UntypedRetype`].
    pub fn retype(
        self,
        object: ObjectType,
        size_bits: u8,
        count: u64,
        node: Cap<CNode>,
        first: u64,
    ) -> Result<(), Error> {
        let what = object as u64 | u64::from(size_bits) << 8 | count << 16;
        self.invoke(Invocation::UntypedRetype, [what, node.cptr(), first, 0]).map(|_| ())
    }

    /// Describes it.
    ///
    /// # Errors
    /// See [`Invocation::UntypedDescribe`].
    pub fn describe(self) -> Result<UntypedState, Error> {
        let words = self.invoke(Invocation::UntypedDescribe, [0; 4])?;
        Ok(UntypedState { base: words[0], size_bits: words[1] as u8, free: words[2] })
    }
}

impl Cap<CNode> {
    /// Derives a capability from the caller's `source` into slot `index`, with at most `rights`. A
    /// `badge` of 0 keeps the source's.
    ///
    /// # Errors
    /// See [`Invocation::CNodeMint`].
    pub fn mint(self, source: CPtr, index: u64, rights: Rights, badge: u64) -> Result<(), Error> {
        self.invoke(Invocation::CNodeMint, [source, index, u64::from(rights.bits()), badge]).map(|_| ())
    }

    /// Moves the caller's `source` into slot `index`.
    ///
    /// # Errors
    /// See [`Invocation::CNodeMove`].
    pub fn move_(self, source: CPtr, index: u64) -> Result<(), Error> {
        self.invoke(Invocation::CNodeMove, [source, index, 0, 0]).map(|_| ())
    }

    /// Empties slot `index`.
    ///
    /// # Errors
    /// See [`Invocation::CNodeDelete`].
    pub fn delete(self, index: u64) -> Result<(), Error> {
        self.invoke(Invocation::CNodeDelete, [index, 0, 0, 0]).map(|_| ())
    }

    /// Deletes everything derived from the capability in slot `index`.
    ///
    /// # Errors
    /// See [`Invocation::CNodeRevoke`].
    pub fn revoke(self, index: u64) -> Result<(), Error> {
        self.invoke(Invocation::CNodeRevoke, [index, 0, 0, 0]).map(|_| ())
    }
}

impl Cap<Frame> {
    /// Maps it at `address` of a host or guest space (`rights` are READ, WRITE, EXECUTE; a guest
    /// space ignores them).
    ///
    /// # Errors
    /// See [`Invocation::FrameMap`].
    pub fn map<S>(self, space: Cap<S>, address: u64, rights: Rights) -> Result<(), Error> {
        let words = [space.cptr(), address, u64::from(rights.bits()), 0];
        self.invoke(Invocation::FrameMap, words).map(|_| ())
    }

    /// Undoes the mapping.
    ///
    /// # Errors
    /// See [`Invocation::FrameUnmap`].
    pub fn unmap(self) -> Result<(), Error> {
        self.invoke(Invocation::FrameUnmap, [0; 4]).map(|_| ())
    }

    /// Physical address and log2 of the bytes.
    ///
    /// # Errors
    /// See [`Invocation::FrameDescribe`].
    pub fn describe(self) -> Result<(u64, u8), Error> {
        let words = self.invoke(Invocation::FrameDescribe, [0; 4])?;
        Ok((words[0], words[1] as u8))
    }
}
