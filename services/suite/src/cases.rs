// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of cases. The host reads the names from here; one that begins with `bench-` measures, one that
//! begins with `long-` runs for minutes.

use crate::case::{
    bench, capability, cnode, device, endpoint, exit, fault, frame, fuzz, notification, schedule, seal,
    untyped,
};
use crate::context::Context;
use crate::outcome::Outcome;

/// A case.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&mut Context) -> Outcome,
}

/// All of them.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "untyped-each-type", run: untyped::each_type },
    Case { name: "untyped-retype", run: untyped::retype },
    Case { name: "untyped-revoke", run: untyped::revoke },
    Case { name: "untyped-zeroing", run: untyped::zeroing },
    Case { name: "cnode-mint", run: cnode::mint },
    Case { name: "cnode-move-delete", run: cnode::move_and_delete },
    Case { name: "cnode-revoke", run: cnode::revoke },
    Case { name: "cnode-deep-chain", run: cnode::deep_chain },
    Case { name: "cnode-invalid-numbers", run: cnode::invalid_numbers },
    Case { name: "endpoint-call", run: endpoint::call },
    Case { name: "endpoint-call-across", run: endpoint::call_across },
    Case { name: "endpoint-call-own-space", run: endpoint::call_own_space },
    Case { name: "endpoint-badge", run: endpoint::badge },
    Case { name: "endpoint-rights", run: endpoint::rights },
    Case { name: "endpoint-timeout", run: endpoint::timeout },
    Case { name: "endpoint-reply-lost", run: endpoint::reply_lost },
    Case { name: "endpoint-dies", run: endpoint::endpoint_dies },
    Case { name: "endpoint-held-callers", run: endpoint::held_callers },
    Case { name: "capability-transfer", run: capability::transfer },
    Case { name: "capability-transfer-across", run: capability::transfer_across },
    Case { name: "fault-exception", run: fault::exception },
    Case { name: "fault-page", run: fault::page },
    Case { name: "fault-unheard", run: fault::unheard },
    Case { name: "fault-across", run: fault::across },
    Case { name: "notification-flags", run: notification::flags },
    Case { name: "notification-wake", run: notification::wake },
    Case { name: "notification-wake-across", run: notification::wake_across },
    Case { name: "notification-bound", run: notification::bound },
    Case { name: "schedule-priority", run: schedule::priority },
    Case { name: "schedule-turns", run: schedule::turns },
    Case { name: "schedule-yield", run: schedule::yielding },
    Case { name: "thread-move", run: schedule::move_thread },
    Case { name: "thread-suspend", run: schedule::suspend },
    Case { name: "thread-configure", run: schedule::configure },
    Case { name: "frame-map", run: frame::map },
    Case { name: "frame-shared", run: frame::shared },
    Case { name: "frame-permissions", run: frame::permissions },
    Case { name: "frame-unmap-across", run: frame::unmap_across },
    Case { name: "space-tables", run: frame::tables },
    Case { name: "device-ports", run: device::ports },
    Case { name: "device-interrupt", run: device::interrupt },
    Case { name: "device-describe", run: device::describe },
    Case { name: "vcpu-cpuid", run: exit::cpuid },
    Case { name: "vcpu-io", run: exit::io },
    Case { name: "vcpu-msr-hypercall", run: exit::msr_and_hypercall },
    Case { name: "vcpu-memory", run: exit::memory },
    Case { name: "vcpu-shutdown", run: exit::shutdown },
    Case { name: "vcpu-invalid-state", run: exit::invalid_state },
    Case { name: "vcpu-deadline", run: exit::deadline },
    Case { name: "vcpu-kick", run: exit::kick },
    Case { name: "vcpu-notification", run: exit::notification },
    Case { name: "vcpu-window-inject", run: exit::window_and_inject },
    Case { name: "vcpu-state", run: exit::state },
    Case { name: "seal-auto-unseal", run: seal::auto_unseal },
    Case { name: "seal-pager", run: seal::pager },
    Case { name: "seal-pager-across", run: seal::pager_across },
    Case { name: "seal-guest-write", run: seal::write },
    Case { name: "fuzz-empty", run: fuzz::empty },
    Case { name: "fuzz-rich", run: fuzz::rich },
    Case { name: "bench-ipc", run: bench::ipc },
    Case { name: "bench-ipc-across", run: bench::ipc_across },
    Case { name: "bench-syscall", run: bench::null },
    Case { name: "bench-exit", run: bench::exit },
    Case { name: "bench-interrupt", run: bench::interrupt },
    Case { name: "bench-boot", run: bench::boot },
];
