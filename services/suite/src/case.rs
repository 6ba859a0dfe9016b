// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases, a file per object or question.

pub mod bench;
pub mod capability;
pub mod cnode;
pub mod device;
pub mod endpoint;
pub mod estate;
pub mod exit;
pub mod fault;
pub mod frame;
pub mod fuzz;
pub mod hostile_race;
pub mod hostile_vm;
pub mod notification;
pub mod schedule;
pub mod seal;
pub mod untyped;
pub mod victim;
