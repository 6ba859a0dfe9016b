// SPDX-License-Identifier: MIT OR Apache-2.0
//! A model of what each CPU may still hold, for checking builds (invariant I11).
