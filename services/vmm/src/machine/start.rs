// SPDX-License-Identifier: MIT OR Apache-2.0
//! A VM's start: memory zeroed, devices as after power-on, the guest loaded again.

use super::{Activity, Backend, Machine, State, settings};
use crate::boot::BootError;
use crate::boot::linux::{self, Linux};
use crate::boot::unikernel::{self, Unikernel};
use crate::device::board::Board;
use crate::memory::{GuestMemory, clear};
use crate::platform::acpi;
use crate::vcpu::Vcpu;
use abi::vcpu::group;
use alloc::string::{String, ToString};
use api::environment::VmKind;

impl<M: GuestMemory, V: Vcpu, O: Backend> Machine<M, V, O> {
    /// Loads the guest again and lets it run. A failure becomes the state and is logged.
    pub fn start(&mut self) {
        let begun = self.backend.now();
        self.board = Board::new(settings(&self.config, self.memory.size()));
        self.backend.attach();
        match self.prepare() {
            Ok(()) => {
                self.state = State::Running;
                self.started = self.backend.now();
                let ms = self.started.saturating_sub(begun) / self.config.tsc_khz.max(1);
                let mib = self.memory.size() >> 20;
                self.backend.log(format_args!("started: {mib} MiB, loaded in {ms} ms"));
            }
            Err(why) => self.fail(&why),
        }
    }

    fn prepare(&mut self) -> Result<(), String> {
        if !core::mem::take(&mut self.memory_is_clean) {
            clear(&mut self.memory).map_err(|error| BootError::Memory(error).to_string())?;
        }
        let now = self.backend.now();
        for (index, processor) in self.processors.iter_mut().enumerate() {
            processor.nmi = false;
            processor.activity = if index == 0 { Activity::Running } else { Activity::WaitingForStartup };
            // The guest's TSC starts at 0.
            processor.vcpu.page().tsc_offset = 0_u64.wrapping_sub(now);
        }
        self.load_guest().map_err(|error| error.to_string())?;
        for processor in &mut self.processors {
            let vcpu = &mut processor.vcpu;
            if vcpu.page().dirty & group::ALL == group::ALL {
                vcpu.import(group::ALL).map_err(|error| alloc::format!("its first state: {error:?}"))?;
                vcpu.page().dirty = 0;
            }
        }
        Ok(())
    }

    fn load_guest(&mut self) -> Result<(), BootError> {
        let Some(first) = self.processors.first_mut() else {
            return Err(BootError::NotAnImage("the VM has no vCPU"));
        };
        let page = first.vcpu.page();
        let config = &self.config;
        match config.kind {
            VmKind::Linux => {
                self.memory.write(acpi::ADDRESS, &acpi::tables(acpi::ADDRESS, config.vcpus))?;
                let linux = Linux {
                    kernel: config.kernel,
                    initrd: config.initrd,
                    command_line: &config.command_line,
                    token: Some(config.token),
                    acpi_rsdp: acpi::ADDRESS,
                };
                linux::load(&mut self.memory, page, &linux)
            }
            VmKind::Unikernel => {
                let unikernel = Unikernel {
                    image: config.kernel,
                    command_line: &config.command_line,
                    token: Some(config.token),
                    tsc_khz: config.tsc_khz,
                };
                unikernel::load(&mut self.memory, page, &unikernel)
            }
        }
    }
}
