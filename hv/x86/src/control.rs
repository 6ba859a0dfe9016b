// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control registers and model-specific registers that each CPU is set up with.
