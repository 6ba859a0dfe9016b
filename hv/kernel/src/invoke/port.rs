// SPDX-License-Identifier: MIT OR Apache-2.0
//! Port ranges: in, out, bytes out, narrow.

use super::Call;
use crate::hold::{Abort, Grip, Outcome};
use crate::lookup;
use abi::error::Error;
use abi::invocation::Invocation;
use abi::rights::Rights;
use cap::Derive;
use store::SlotMemory;
use x86_machine::port;

/// Dispatch.
pub fn invoke(call: &Call) -> Outcome {
    let [w0, w1, w2, w3] = call.words;
    match call.label {
        Invocation::PortIn => {
            call.need(Rights::READ)?;
            let value = match w1 {
                1 => u64::from(port::in8(checked(call, w0, w1)?)),
                2 => u64::from(port::in16(checked(call, w0, w1)?)),
                4 => u64::from(port::in32(checked(call, w0, w1)?)),
                _ => return Err(Abort::Error(Error::InvalidArgument)),
            };
            call.answer(&[value])
        }
        Invocation::PortOut => {
            call.need(Rights::WRITE)?;
            match w1 {
                1 => port::out8(checked(call, w0, w1)?, w2 as u8),
                2 => port::out16(checked(call, w0, w1)?, w2 as u16),
                4 => port::out32(checked(call, w0, w1)?, w2 as u32),
                _ => return Err(Abort::Error(Error::InvalidArgument)),
            }
            call.answer(&[])
        }
        Invocation::PortOutBytes => {
            call.need(Rights::WRITE)?;
            let (port, count) = (checked(call, w0 & 0xffff, 1)?, w0 >> 16);
            if !(1..=24).contains(&count) {
                return Err(Abort::Error(Error::InvalidArgument));
            }
            let bytes = [w1, w2, w3].into_iter().flat_map(u64::to_le_bytes);
            bytes.take(count as usize).for_each(|byte| port::out8(port, byte));
            call.answer(&[])
        }
        Invocation::PortNarrow => {
            call.need(Rights::MANAGE)?;
            call.hold.need(Grip::Lock)?;
            let to = lookup::destination(call.thread, w2, w3, 1)?;
            Derive::ports(&SlotMemory, call.slot, to, w0, w1)?.perform(&mut SlotMemory);
            call.answer(&[])
        }
        _ => Err(Abort::Error(Error::InvalidInvocation)),
    }
}

/// Do all ports of the access lie in the range?
fn checked(call: &Call, port: u64, bytes: u64) -> Result<u16, Error> {
    let (first, last) = call.cap.port_range();
    let port = u16::try_from(port).map_err(|_| Error::OutOfRange)?;
    if port < first || u64::from(port) + bytes - 1 > u64::from(last) {
        return Err(Error::OutOfRange);
    }
    Ok(port)
}
